//! Signatures of webhooks, by Standard Webhooks (standardwebhooks.com, version 1.0).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::credentials::Secret;

/// Prefix of a secret in base64; other secrets are taken as they are.
const PREFIX: &str = "whsec_";

/// The value of the header `webhook-signature`: an HMAC-SHA256 over id, time and body.
///
/// # Errors
/// Why the secret cannot be used.
pub(super) fn sign(secret: &Secret, id: &str, unix_seconds: i64, body: &[u8]) -> Result<String, String> {
    let key = match secret.expose().strip_prefix(PREFIX) {
        None => secret.expose().as_bytes().to_vec(),
        Some(encoded) => STANDARD
            .decode(encoded)
            .map_err(|_| format!("the signing secret begins with `{PREFIX}` and does not go on in base64"))?,
    };
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key);
    let mut mac = mac.map_err(|_| "the signing secret has a length that no key has".to_owned())?;
    mac.update(format!("{id}.{unix_seconds}.").as_bytes());
    mac.update(body);
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn the_known_signature_is_made() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn any_text_is_a_key_but_broken_base64_is_not() {
        let raw = sign(&Secret::new("a plain one"), "id", 1, b"body").unwrap();
        let same = sign(&Secret::new("whsec_YSBwbGFpbiBvbmU="), "id", 1, b"body").unwrap();
        assert_eq!(raw, same);
        assert!(sign(&Secret::new("whsec_?"), "id", 1, b"").unwrap_err().contains("base64"));
    }
}
