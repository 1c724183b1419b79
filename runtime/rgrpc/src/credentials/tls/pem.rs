//! The parser of certificates and keys in PEM (RFC 7468).
//!
//! An error names the sections that were found in place of the expected one.
//!
//! Called when the credentials are built, on the user's task.

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Parses all certificates, at least one. Text between them is ignored.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| malformed(&error))?;
    if certificates.is_empty() {
        return Err(format!("no CERTIFICATE section: {}", found(pem)));
    }
    Ok(certificates)
}

/// Parses all certificates, at least one, as trusted roots.
pub(super) fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates(pem)?.into_iter().enumerate() {
        roots
            .add(certificate)
            .map_err(|error| format!("certificate {} cannot be used: {error}", index + 1))?;
    }
    Ok(roots)
}

/// Parses the first private key: PKCS #8, PKCS #1 or SEC1, not encrypted.
pub(super) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => format!(
            "no section PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY: {}",
            found(pem)
        ),
        error => malformed(&error),
    })
}

/// Describes the content of a text without the expected section.
fn found(pem: &[u8]) -> String {
    if pem.is_empty() {
        return "the input is empty".to_owned();
    }
    let labels: Vec<_> = String::from_utf8_lossy(pem)
        .lines()
        .filter_map(label)
        .map(str::to_owned)
        .collect();
    match &*labels {
        [] => format!("the input is {} bytes that are not PEM", pem.len()),
        [label] => format!("found {label}"),
        labels => format!("found {}", labels.join(", ")),
    }
}

/// Returns the label of a line that begins a section.
fn label(line: &str) -> Option<&str> {
    line.trim()
        .strip_prefix("-----BEGIN ")?
        .strip_suffix("-----")
}

fn malformed(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { end_marker } => format!(
            "the PEM is cut off in the section {}",
            String::from_utf8_lossy(end_marker).trim_end()
        ),
        pem::Error::IllegalSectionStart { line } => format!(
            "the PEM is malformed at {:?}",
            String::from_utf8_lossy(line).trim_end()
        ),
        error => format!("the PEM is malformed: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    const TWO: &[u8] = b"a comment\n\
        -----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n\
        -----BEGIN CERTIFICATE-----\nMAE=\n-----END CERTIFICATE-----\n";

    #[test]
    fn all_certificates_are_parsed_and_other_text_is_ignored() {
        let both = [KEY, TWO].concat();
        let certificates = certificates(&both).expect("well-formed");
        let der: Vec<&[u8]> = certificates.iter().map(AsRef::as_ref).collect();
        assert_eq!(der, [b"0\x00", b"0\x01"]);
    }

    #[test]
    fn a_key_is_found_among_certificates() {
        let both = [TWO, KEY].concat();
        assert_eq!(
            private_key(&both).expect("well-formed").secret_der(),
            b"0\x00"
        );
    }

    #[test]
    fn without_a_certificate_the_error_describes_the_input() {
        for (pem, text) in [
            (&b""[..], "no CERTIFICATE section: the input is empty"),
            (
                b"0\x82\x01",
                "no CERTIFICATE section: the input is 3 bytes that are not PEM",
            ),
            (KEY, "no CERTIFICATE section: found PRIVATE KEY"),
            (
                b"-----BEGIN CERTIFICATE-----\nMAA=\n",
                "the PEM is cut off in the section CERTIFICATE",
            ),
        ] {
            assert_eq!(certificates(pem), Err(text.to_owned()));
        }
    }

    #[test]
    fn without_a_key_the_error_describes_the_input() {
        const NO_KEY: &str = "no section PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY: ";
        let encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n\
            -----END ENCRYPTED PRIVATE KEY-----\n";
        for (pem, found) in [
            (&b""[..], "the input is empty"),
            (encrypted, "found ENCRYPTED PRIVATE KEY"),
            (TWO, "found CERTIFICATE, CERTIFICATE"),
        ] {
            let error = private_key(pem).expect_err("no key is there");
            assert_eq!(error, format!("{NO_KEY}{found}"));
        }
    }

    #[test]
    fn an_invalid_root_is_named_by_its_position() {
        let error = roots(TWO).expect_err("they are empty sequences");
        assert!(
            error.starts_with("certificate 1 cannot be used: "),
            "{error}"
        );
    }

    #[test]
    fn invalid_base64_is_malformed_and_not_a_missing_section() {
        let error = certificates(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")
            .expect_err("not base64");
        assert!(error.starts_with("the PEM is malformed: base64"), "{error}");
    }
}
