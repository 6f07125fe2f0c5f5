//! TLS to the database, with the modes (`sslmode`) of libpq.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Whether a connection is encrypted, and how the server's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted if the server insists.
    Allow,
    /// Encrypted if the server supports it.
    Prefer,
    /// Encrypted; with a root certificate, the same as `VerifyCa`, as in libpq.
    Require,
    /// Encrypted, to a server with a certificate from a trusted authority.
    VerifyCa,
    /// Encrypted, to a server with such a certificate for its host name.
    VerifyFull,
}

impl SslMode {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }
}

/// How connections are secured.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// Encryption, and the check of the server's certificate.
    pub mode: SslMode,
    /// PEM file of trusted authorities; `None` trusts those of the system.
    pub root: Option<PathBuf>,
    /// PEM files of our own certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// The check of the server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Nothing,
    Authority,
    AuthorityAndName,
}

impl TlsSettings {
    fn proof(&self) -> Proof {
        match self.mode {
            SslMode::VerifyFull => Proof::AuthorityAndName,
            SslMode::VerifyCa => Proof::Authority,
            SslMode::Require if self.root.is_some() => Proof::Authority,
            SslMode::Require | SslMode::Prefer | SslMode::Allow | SslMode::Disable => Proof::Nothing,
        }
    }

    /// Reads the certificates and makes the driver's TLS connector.
    ///
    /// # Errors
    /// A certificate file cannot be used.
    pub(super) fn connector(&self) -> anyhow::Result<MakeRustlsConnect> {
        // Given explicitly, so that it does not matter which provider the process has installed.
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(provider)?);
        let mut config = match &self.client {
            Some((certificate, key)) => {
                let reading = || format!("reading `sslkey` {}", key.display());
                let private = PrivateKeyDer::from_pem_file(key).with_context(reading)?;
                builder.with_client_auth_cert(read_certificates(certificate, "sslcert")?, private)?
            }
            None => builder.with_no_client_auth(),
        };
        // Servers with direct TLS (`sslnegotiation=direct`, PostgreSQL 17) require this protocol name.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(MakeRustlsConnect::new(config))
    }

    fn verifier(&self, provider: Arc<CryptoProvider>) -> anyhow::Result<Arc<dyn ServerCertVerifier>> {
        let proof = self.proof();
        if proof == Proof::Nothing {
            return Ok(Arc::new(Unverified(provider)));
        }
        let trusted = match &self.root {
            Some(path) => read_certificates(path, "sslrootcert")?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        let mut roots = RootCertStore::empty();
        let (usable, _) = roots.add_parsable_certificates(trusted.iter().cloned());
        anyhow::ensure!(usable > 0, "no trusted certificate authorities; name a file with `sslrootcert`");
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        Ok(Arc::new(Verified { inner, trusted, proof }))
    }
}

fn read_certificates(path: &Path, option: &str) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let reading = || format!("reading `{option}` {}", path.display());
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).with_context(reading)?.collect();
    let certificates = certificates.with_context(reading)?;
    anyhow::ensure!(!certificates.is_empty(), "`{option}` {} holds no certificate", path.display());
    Ok(certificates)
}

/// Accepts every certificate, for modes that protect only against eavesdropping.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    // The certificate is not checked, so a signature by its key proves nothing.
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Verifies certificates as WebPKI does, with two exceptions that libpq makes.
#[derive(Debug)]
struct Verified {
    inner: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
    proof: Proof,
}

impl ServerCertVerifier for Verified {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext, Other};
        let outcome = self.inner.verify_server_cert(end_entity, intermediates, name, ocsp_response, now);
        match outcome {
            // webpki checks the name last, so all other checks have passed.
            Err(Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }))
                if self.proof == Proof::Authority =>
            {
                Ok(ServerCertVerified::assertion())
            }
            // webpki refuses an authority's certificate for a server, but with libpq a self-signed server certificate
            // may be its own authority. Its dates were checked before.
            Err(Error::InvalidCertificate(Other(_))) if self.trusted.contains(end_entity) => {
                if self.proof == Proof::AuthorityAndName {
                    rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
                }
                Ok(ServerCertVerified::assertion())
            }
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
