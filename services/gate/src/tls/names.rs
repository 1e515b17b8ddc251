//! Go's names for cipher suites and curves, as far as rustls has them.

use rustls::{CipherSuite, NamedGroup, SupportedCipherSuite, crypto::SupportedKxGroup, crypto::ring};

use crate::web::suggestion;

/// Go's name of each suite that rustls has, and rustls' own.
const SUITES: [(&str, CipherSuite); 9] = [
    ("TLS_AES_128_GCM_SHA256", CipherSuite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", CipherSuite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

const CURVES: [(&str, NamedGroup); 3] = [
    ("CurveP256", NamedGroup::secp256r1),
    ("CurveP384", NamedGroup::secp384r1),
    ("X25519", NamedGroup::X25519),
];

/// The named suites in their order, and all of TLS 1.3, whose suites Go does not let one choose either. No names: all.
pub(crate) fn cipher_suites(names: &[String]) -> Result<Vec<SupportedCipherSuite>, String> {
    let all = ring::ALL_CIPHER_SUITES;
    let is_13 = |suite: &SupportedCipherSuite| suite.tls13().is_some();
    if names.is_empty() {
        return Ok(all.to_vec());
    }
    let mut chosen: Vec<_> = all.iter().copied().filter(is_13).collect();
    for name in names {
        let (_, suite) = SUITES.iter().find(|(go, _)| go == name).ok_or_else(|| unknown_suite(name))?;
        chosen.extend(all.iter().copied().filter(|known| known.suite() == *suite && !is_13(known)));
    }
    Ok(chosen)
}

fn unknown_suite(name: &str) -> String {
    match name {
        _ if name.contains("_CBC_") || name.contains("RC4") => {
            format!(
                "{name} is not offered: rustls has only suites that authenticate what they encrypt (GCM, ChaCha20)"
            )
        }
        _ if name.starts_with("TLS_RSA_") => {
            format!("{name} is not offered: rustls has only suites with forward secrecy (TLS_ECDHE_…)")
        }
        _ => format!("unknown cipher suite {name:?}{}", suggestion(name, &SUITES.map(|(go, _)| go))),
    }
}

/// The named curves in their order. No names: all.
pub(crate) fn curves(names: &[String]) -> Result<Vec<&'static dyn SupportedKxGroup>, String> {
    let all = ring::ALL_KX_GROUPS;
    if names.is_empty() {
        return Ok(all.to_vec());
    }
    let find = |name: &String| {
        let known = CURVES.iter().find(|(go, _)| go == name);
        let group = known.and_then(|(_, group)| all.iter().copied().find(|known| known.name() == *group));
        group.ok_or_else(|| match name.as_str() {
            "CurveP521" => {
                "CurveP521 is not offered: ring does not have it; use X25519, CurveP256 or CurveP384".into()
            }
            _ => format!("unknown curve {name:?}{}", suggestion(name, &CURVES.map(|(go, _)| go))),
        })
    };
    names.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_suite_and_curve_of_rustls_has_its_go_name() {
        let known = |suite: &SupportedCipherSuite| SUITES.iter().any(|(_, known)| *known == suite.suite());
        assert!(ring::ALL_CIPHER_SUITES.iter().all(known));
        assert_eq!(cipher_suites(&owned(&SUITES.map(|(go, _)| go))).map(|all| all.len()), Ok(SUITES.len()));
        assert_eq!(curves(&owned(&CURVES.map(|(go, _)| go))).map(|all| all.len()), Ok(CURVES.len()));
        assert_eq!(curves(&[]).map(|all| all.len()), Ok(CURVES.len()));
    }

    #[test]
    fn what_rustls_does_not_have_is_refused_with_the_reason() {
        for (name, reason) in [
            ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "authenticate what they encrypt"),
            ("TLS_RSA_WITH_AES_128_GCM_SHA256", "forward secrecy"),
            ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA", "did you mean TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256?"),
        ] {
            let error = cipher_suites(&owned(&[name])).expect_err("not one of rustls");
            assert!(error.contains(reason), "{error}");
        }
        let refused = |name| curves(&owned(&[name])).err().unwrap_or_default();
        assert!(refused("CurveP521").contains("ring does not have it"));
        assert!(refused("CurveP255").contains("did you mean CurveP256?"));
    }
}
