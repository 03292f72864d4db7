//! Certificates for tests: of an authority, of servers, of clients, and all that are wrong.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

/// The names by which tests reach their servers.
pub const HERE: [&str; 2] = ["127.0.0.1", "localhost"];

/// Who signs certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, in PEM.
    pub pem: String,
}

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// How a certificate of a server can be wrong by its own doing.
#[derive(Debug, Clone, Copy)]
pub enum Flaw {
    /// It is over.
    Expired,
    /// It has not begun.
    Early,
    /// It is for `server.example`.
    OtherHost,
}

impl Authority {
    /// One more, whom nobody trusts yet.
    pub fn new(name: &str) -> Self {
        let key = key();
        let mut params = params(&[], name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let pem = params.self_signed(&key).expect("an authority signs itself").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for these hosts.
    pub fn sign_for(&self, hosts: &[&str]) -> Identity {
        self.sign(params(hosts, hosts.first().copied().unwrap_or_default()))
    }

    /// A certificate for a client of this name.
    pub fn sign_client(&self, name: &str) -> Identity {
        self.sign(params(&[], name))
    }

    /// A certificate for [`HERE`], but for one thing.
    pub fn sign_flawed(&self, flaw: Flaw) -> Identity {
        let (mut here, mut there) = (params(&HERE, HERE[0]), params(&["server.example"], "server.example"));
        match flaw {
            Flaw::Expired => {
                (here.not_before, here.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1))
            }
            Flaw::Early => {
                (here.not_before, here.not_after) = (date_time_ymd(3000, 1, 1), date_time_ymd(3001, 1, 1))
            }
            Flaw::OtherHost => std::mem::swap(&mut here, &mut there),
        }
        self.sign(here)
    }

    fn sign(&self, params: CertificateParams) -> Identity {
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).expect("an authority signs").pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

impl Identity {
    /// Writes both below a directory; their paths.
    pub fn write(&self, dir: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (certificate, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}-key.pem")));
        std::fs::write(&certificate, &self.certificate).expect("the certificate is written");
        std::fs::write(&key, &self.key).expect("the key is written");
        (certificate, key)
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key is made")
}

fn params(hosts: &[&str], name: &str) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).expect("the hosts can stand in a certificate");
    // Who has the name of its issuer counts as self-signed.
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
