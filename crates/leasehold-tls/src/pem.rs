//! Certificates as text.

use tokio_rustls::rustls::pki_types::CertificateDer;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// How long a line is.
const WIDTH: usize = 64;

/// These certificates, one behind the other.
pub(crate) fn of_certificates(certificates: &[CertificateDer<'_>]) -> String {
    let mut text = String::new();
    for certificate in certificates {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        // 48 bytes are a line.
        for line in certificate.chunks(WIDTH / 4 * 3) {
            append(&mut text, line);
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

/// In base64.
fn append(text: &mut String, bytes: &[u8]) {
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * index) & 63) as usize];
            text.push(if index <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for length in [1, 2, 3, 47, 48, 49, 96, 1_000] {
            let bytes: Vec<u8> = (0..length).map(|n| (n * 7 % 256) as u8).collect();
            let certificates = [CertificateDer::from(bytes.clone()), CertificateDer::from(bytes)];
            let text = of_certificates(&certificates);
            assert!(text.lines().all(|line| line.len() <= WIDTH));
            let read: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes()).map(Result::unwrap).collect();
            assert_eq!(read, certificates);
        }
    }
}
