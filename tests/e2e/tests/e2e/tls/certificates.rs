//! CAs and certificates, made for one test.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// A CA, which signs what it is asked to.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate with the certificates of intermediate CAs, and its key.
pub(crate) struct Identity {
    pub(crate) chain_pem: String,
    pub(crate) key_pem: String,
    /// The certificates in DER, the first one's key being the key.
    pub(crate) chain_der: Vec<Vec<u8>>,
}

impl Ca {
    /// A CA that signs itself.
    pub(crate) fn new() -> Self {
        Self::root("root")
    }

    /// A CA of another name that signs itself.
    pub(crate) fn another() -> Self {
        Self::root("another root")
    }

    fn root(name: &str) -> Self {
        Self(CertifiedIssuer::self_signed(ca_params(name), key()).expect("sound parameters"))
    }

    /// A CA that this one has signed.
    pub(crate) fn intermediate(&self) -> Self {
        let params = ca_params("intermediate");
        Self(CertifiedIssuer::signed_by(params, key(), &self.0).expect("sound parameters"))
    }

    /// The CA's certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a server that has this DNS name or IP address.
    pub(crate) fn server(&self, name: &str) -> Identity {
        self.sign(server_params(name))
    }

    /// As [`server`](Self::server), and it ended with the year 2020.
    pub(crate) fn expired_server(&self, name: &str) -> Identity {
        let mut params = server_params(name);
        params.not_after = date_time_ymd(2020, 12, 31);
        self.sign(params)
    }

    /// A certificate for a client.
    pub(crate) fn client(&self) -> Identity {
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Identity {
        let key = key();
        let certificate = params.signed_by(&key, &self.0).expect("sound parameters");
        Identity {
            chain_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            chain_der: vec![certificate.der().to_vec()],
        }
    }
}

impl Identity {
    /// With the certificate of the CA that signed it, for peers that do not have it.
    pub(crate) fn with_intermediate(mut self, ca: &Ca) -> Self {
        self.chain_pem.push_str(&ca.pem());
        self.chain_der.push(ca.0.der().to_vec());
        self
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn server_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).expect("a sound name");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}
