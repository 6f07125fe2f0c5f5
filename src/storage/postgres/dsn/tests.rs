use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::*;

fn parse(text: &str) -> Dsn {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn fault(text: &str) -> String {
    text.parse::<Dsn>().unwrap_err().to_string()
}

/// The servers of a DSN, each as `user:password@host:port/database`.
fn servers(dsn: &Dsn) -> Vec<String> {
    let describe = |server: &Config| {
        let password = String::from_utf8_lossy(server.get_password().unwrap_or_default()).into_owned();
        let host = match &server.get_hosts()[0] {
            Host::Tcp(host) => host.clone(),
            Host::Unix(folder) => folder.display().to_string(),
        };
        format!(
            "{}:{password}@{host}:{}/{}",
            server.get_user().unwrap_or_default(),
            server.get_ports()[0],
            server.get_dbname().unwrap_or_default()
        )
    };
    dsn.servers.iter().map(describe).collect()
}

#[test]
fn both_forms_say_the_same() {
    for (text, expected) in [
        ("postgres://me:secret@db:5433/evals", "me:secret@db:5433/evals"),
        ("postgresql://me@db/evals", "me:@db:5432/evals"),
        ("postgres://me:p%40s%2Fs%20@db/evals", "me:p@s/s @db:5432/evals"),
        ("postgres://me:a@b@db/evals", "me:a@b@db:5432/evals"),
        ("postgres://me@[::1]:5433/evals", "me:@::1:5433/evals"),
        ("postgres://me@%2Frun%2Fpg/evals", "me:@/run/pg:5432/evals"),
        ("postgres:///evals?host=/run/pg&user=me&port=5433", "me:@/run/pg:5433/evals"),
        ("postgres://db", ":@db:5432/"),
        ("host=db user=me dbname=evals", "me:@db:5432/evals"),
        (r"host = db  password = 'a b\'c\\d' user=me dbname=evals port=1", r"me:a b'c\d@db:1/evals"),
        (r"host=db password=a\ b\'c", r":a b'c@db:5432/"),
        ("host=/run/pg dbname='' user=me", "me:@/run/pg:5432/"),
        ("host=db hostaddr=10.0.0.1", ":@db:5432/"),
        ("hostaddr=10.0.0.1", ":@10.0.0.1:5432/"),
    ] {
        assert_eq!(servers(&parse(text)), [expected], "{text}");
    }
}

#[test]
fn each_server_of_a_list_is_tried_by_itself() {
    assert_eq!(servers(&parse("postgres://me@a,b:5433/x")), ["me:@a:5432/x", "me:@b:5433/x"]);
    assert_eq!(servers(&parse("host=a,b port=1,2 user=me dbname=x")), ["me:@a:1/x", "me:@b:2/x"]);
    assert_eq!(servers(&parse("host=a,b port=7")), [":@a:7/", ":@b:7/"]);
    assert!(parse("host=a,b load_balance_hosts=random").is_order_random);
    assert!(!parse("host=a,b load_balance_hosts=disable").is_order_random);
}

#[test]
fn every_tls_mode_of_libpq_is_known() {
    for (text, mode) in [
        ("", SslMode::Prefer),
        ("?sslmode=disable", SslMode::Disable),
        ("?sslmode=allow", SslMode::Allow),
        ("?sslmode=prefer", SslMode::Prefer),
        ("?sslmode=require", SslMode::Require),
        ("?sslmode=verify-ca", SslMode::VerifyCa),
        ("?sslmode=verify-full", SslMode::VerifyFull),
        ("?sslrootcert=system", SslMode::VerifyFull),
    ] {
        assert_eq!(parse(&format!("postgres://db/x{text}")).tls.mode, mode, "{text}");
    }
    let tls = parse("host=db sslmode=require sslrootcert='/a b/ca.pem' sslcert=c.pem sslkey=k.pem").tls;
    assert_eq!(tls.root, Some("/a b/ca.pem".into()));
    assert_eq!(tls.client, Some(("c.pem".into(), "k.pem".into())));
}

#[test]
fn times_have_the_units_of_libpq() {
    let dsn = parse("host=db connect_timeout=3 tcp_user_timeout=2500 keepalives_idle=9 keepalives_count=4");
    let server = &dsn.servers[0];
    assert_eq!(dsn.connect_timeout, Duration::from_secs(3));
    assert_eq!(server.get_tcp_user_timeout(), Some(&Duration::from_millis(2500)));
    assert_eq!(server.get_keepalives_idle(), Duration::from_secs(9));
    assert_eq!(server.get_keepalives_retries(), Some(4));
}

#[test]
fn a_cut_line_is_noticed_within_seconds_unless_said_otherwise() {
    let dsn = parse("host=db connect_timeout=0 application_name=mine");
    let server = &dsn.servers[0];
    assert_eq!(dsn.connect_timeout, CONNECT_TIMEOUT);
    assert_eq!(server.get_tcp_user_timeout(), Some(&TCP_USER_TIMEOUT));
    assert_eq!(server.get_keepalives_idle(), Duration::from_secs(2));
    assert_eq!(server.get_keepalives_interval(), Some(Duration::from_secs(1)));
    assert_eq!(server.get_keepalives_retries(), Some(2));
    assert_eq!(server.get_application_name(), Some("mine"));
    assert_eq!(parse("host=db").servers[0].get_application_name(), Some("agentevals"));
}

#[test]
fn faults_name_the_option_and_what_it_can_be() {
    for (text, expected) in [
        ("", "it names no host"),
        ("postgres:///evals", "it names no host"),
        ("host=a,,b", "it names no host"),
        ("evals", "neither a postgres:// URL nor key=value pairs"),
        ("mysql://db", "neither a postgres:// URL nor key=value pairs"),
        (
            "host=db sslmode=on",
            "option `sslmode` must be disable, allow, prefer, require, verify-ca or verify-full",
        ),
        ("host=db sslmode=require sslrootcert=system", "option `sslmode` must be verify-full"),
        ("host=db sslcert=c.pem", "options `sslcert` and `sslkey` need each other"),
        ("host=db port=x", "option `port` must be a number up to 65535"),
        ("host=a,b,c port=1,2", "option `port` must be one number, or one for each host"),
        ("host=a,b hostaddr=10.0.0.1", "option `hostaddr` must be as long a list as `host`"),
        ("host=db hostaddr=x", "option `hostaddr` must be an IP address"),
        ("host=db connect_timeout=x", "option `connect_timeout` must be a whole number"),
        ("host=db colour=red", "unknown option `colour`"),
        ("host=db password='x", "a quoted value lacks its closing quote"),
        ("postgres://[::1/x", "an IPv6 address of the URL lacks its closing bracket"),
        ("postgres://db/x?sslmode", "an option of the URL has no value"),
        ("postgres://me:%ff@db/x", "is not UTF-8"),
    ] {
        let fault = fault(text);
        assert!(fault.contains(expected), "{text}: {fault}");
    }
}

#[test]
fn passwords_are_never_shown() {
    let dsn = parse("postgres://me:hunter2@db/x");
    assert!(!format!("{dsn:?}").contains("hunter2"), "{dsn:?}");
    for text in [
        "host=db password=hunter2 hunter2",
        "host=db password='hunter2",
        "postgres://me:hunter2/x@db/evals",
        "postgres://me:hunter2%ff@db/evals",
        "postgres://me:hunter2@db:port/evals",
    ] {
        assert!(!fault(text).contains("hunter2"), "{}", fault(text));
    }
}

/// A password file with these permissions.
fn passfile(text: &str, mode: u32) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
    file
}

#[test]
fn a_password_file_serves_each_server() {
    let file = passfile("# ours\nb:5432:x:me:for b\n*:1:*:me:a\\:b:c\n*:*:other:*:no\n", 0o600);
    let dsn = Dsn::parse("host=a,b,c port=1,5432,5432 user=me dbname=x", Some(file.path())).unwrap();
    assert_eq!(servers(&dsn), ["me:a:b:c@a:1/x", "me:for b@b:5432/x", "me:@c:5432/x"]);
    let named = format!("host=b user=me dbname=x passfile='{}'", file.path().display());
    assert_eq!(servers(&parse(&named)), ["me:for b@b:5432/x"]);
    let given = Dsn::parse("host=b user=me dbname=x password=mine", Some(file.path())).unwrap();
    assert_eq!(servers(&given), ["me:mine@b:5432/x"]);
}

#[test]
fn a_password_file_that_others_can_read_is_not_used() {
    let file = passfile("*:*:*:*:secret\n", 0o644);
    let dsn = Dsn::parse("host=b user=me", Some(file.path())).unwrap();
    assert_eq!(servers(&dsn), ["me:@b:5432/"]);
}

#[test]
fn only_a_password_file_that_is_named_has_to_be_there() {
    assert!(Dsn::parse("host=b", Some(Path::new("/nowhere/.pgpass"))).is_ok());
    assert!(fault("host=b passfile=/nowhere/pgpass").contains("`/nowhere/pgpass`"));
}
