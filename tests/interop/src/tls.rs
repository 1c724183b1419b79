//! The flags about TLS, of the client and of the server, and the credentials that they ask for.
//!
//! The certificates that are used where a flag names no file are those of `certs`.

use std::error::Error;
use std::fs;

use rgrpc::credentials::{self, ChannelCredentials, ClientTls, ServerCredentials, ServerTls};

const TEST_CA: &[u8] = include_bytes!("../certs/ca.pem");
const TEST_CERTIFICATE: &[u8] = include_bytes!("../certs/server1.pem");
const TEST_KEY: &[u8] = include_bytes!("../certs/server1.key");

/// The client's flags for TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientOptions {
    /// True if TLS is used.
    pub use_tls: bool,
    /// True if a CA for tests is trusted instead of the platform's.
    pub use_test_ca: bool,
    /// The file of the CA for tests; empty for this package's.
    pub ca_file: String,
    /// The name in the server's certificate; empty for the one in the target.
    pub server_host_override: String,
}

/// The server's flags for TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerOptions {
    /// True if TLS is used.
    pub use_tls: bool,
    /// The file of the certificate; empty for this package's.
    pub cert_file: String,
    /// The file of its key; empty for this package's.
    pub key_file: String,
}

impl ClientOptions {
    /// The credentials of the client's channels.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it should be.
    pub fn credentials(&self) -> Result<ChannelCredentials, Box<dyn Error + Send + Sync>> {
        if !self.use_tls {
            return Ok(credentials::insecure());
        }
        let mut tls = ClientTls::new();
        if self.use_test_ca {
            tls = tls.ca_certificates(read(&self.ca_file, TEST_CA)?);
        }
        if !self.server_host_override.is_empty() {
            tls = tls.server_name(&*self.server_host_override);
        }
        Ok(tls.build()?)
    }
}

impl ServerOptions {
    /// The server's credentials.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it should be.
    pub fn credentials(&self) -> Result<ServerCredentials, Box<dyn Error + Send + Sync>> {
        if !self.use_tls {
            return Ok(ServerCredentials::default());
        }
        let chain = read(&self.cert_file, TEST_CERTIFICATE)?;
        let key = read(&self.key_file, TEST_KEY)?;
        Ok(ServerTls::new(chain, key).build()?)
    }
}

/// The file's content, or what stands in for it when none is named.
fn read(file: &str, stand_in: &[u8]) -> Result<Vec<u8>, String> {
    if file.is_empty() {
        return Ok(stand_in.to_owned());
    }
    fs::read(file).map_err(|error| format!("cannot read {file}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let client = ClientOptions {
            use_tls: true,
            use_test_ca: true,
            ca_file: "no/such/ca.pem".to_owned(),
            ..ClientOptions::default()
        };
        let error = client.credentials().expect_err("there is no such file");
        assert!(error.to_string().contains("no/such/ca.pem"), "{error}");
        let server = ServerOptions {
            use_tls: true,
            key_file: "no/such.key".to_owned(),
            ..ServerOptions::default()
        };
        let error = server.credentials().expect_err("there is no such file");
        assert!(error.to_string().contains("no/such.key"), "{error}");
    }
}
