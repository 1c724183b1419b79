//! The handshake: both sides prove that they have the same key.
//!
//! ```text
//!   client                                          server
//!     key id, nonce of the client      ───────────►
//!                                      ◄───────────  known, nonce of the server, proof of the server
//!     accepted, proof of the client    ───────────►
//!                                      ◄───────────  accepted
//! ```
//!
//! A proof is HMAC-SHA256 under the key of the side's name, the key id and both nonces. The nonces
//! are new for each connection, so that a recorded handshake cannot be replayed, and the side's
//! name keeps a proof from being sent back to its maker.

use std::collections::HashMap;
use std::error::Error;

use rgrpc::credentials::{
    AuthInfo, ClientHandshake, ClientHandshakeInfo, HandshakeResult, Secured, SecurityLevel,
    ServerHandshake, ServerHandshakeInfo,
};
use rgrpc::io::BoxedIo;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::records::Records;

const PROTOCOL: &str = "psk";

/// The bytes of a nonce and of a proof.
const NONCE: usize = 32;
const PROOF: usize = 32;

/// The replies of a side.
const YES: u8 = 1;
const NO: u8 = 0;

/// The id of the key that the other side has proved to have: a detail of the peer's `AuthInfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyId(pub(crate) String);

/// The client's side of the handshake: one key.
pub(crate) struct PskClient {
    id: String,
    key: hmac::Key,
}

/// The server's side of the handshake: the keys of its clients by their ids.
pub(crate) struct PskServer {
    keys: HashMap<String, hmac::Key>,
}

impl PskClient {
    /// `id` has at most 255 bytes; `key` has 32 random ones.
    pub(crate) fn new(id: &str, key: &[u8]) -> Self {
        Self {
            id: id.to_owned(),
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
        }
    }
}

impl PskServer {
    pub(crate) fn new<'a>(keys: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let keys = keys.into_iter().map(|(id, key)| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, key);
            (id.to_owned(), key)
        });
        Self {
            keys: keys.collect(),
        }
    }
}

impl ClientHandshake for PskClient {
    fn protocol(&self) -> &'static str {
        PROTOCOL
    }

    async fn handshake(&self, mut io: BoxedIo, _: ClientHandshakeInfo<'_>) -> HandshakeResult {
        let client_nonce = nonce()?;
        let mut hello = vec![u8::try_from(self.id.len())?];
        hello.extend(self.id.as_bytes());
        hello.extend(client_nonce);
        io.write_all(&hello).await?;

        if io.read_u8().await? != YES {
            let id = &self.id;
            return Err(
                format!("the server has no key {id:?}; the option is PskServer::new").into(),
            );
        }
        let server_nonce = read::<NONCE>(&mut io).await?;
        let proof = read::<PROOF>(&mut io).await?;
        let exchange = Exchange {
            key: &self.key,
            id: &self.id,
            client_nonce,
            server_nonce,
        };
        if !exchange.is_proof("server", &proof) {
            // The server logs why the connection ends. It closes once it has read the response.
            io.write_all(&[NO]).await?;
            let _ = io.read_u8().await;
            let id = &self.id;
            let text = format!("the server has another key {id:?}; the option is PskClient::new");
            return Err(text.into());
        }
        io.write_all(&[YES]).await?;
        io.write_all(exchange.proof("client").as_ref()).await?;
        if io.read_u8().await? != YES {
            return Err("the server has refused the client's proof".into());
        }
        Ok(exchange.secured(io, "client", "server"))
    }
}

impl ServerHandshake for PskServer {
    fn protocol(&self) -> &'static str {
        PROTOCOL
    }

    async fn handshake(&self, mut io: BoxedIo, _: ServerHandshakeInfo<'_>) -> HandshakeResult {
        let mut id = vec![0; usize::from(io.read_u8().await?)];
        io.read_exact(&mut id).await?;
        let id = String::from_utf8(id)?;
        let client_nonce = read::<NONCE>(&mut io).await?;
        let Some(key) = self.keys.get(&id) else {
            io.write_all(&[NO]).await?;
            return Err(format!("no key {id:?} is known; the option is PskServer::new").into());
        };
        let exchange = Exchange {
            key,
            id: &id,
            client_nonce,
            server_nonce: nonce()?,
        };
        io.write_all(&[YES]).await?;
        io.write_all(&exchange.server_nonce).await?;
        io.write_all(exchange.proof("server").as_ref()).await?;
        if io.read_u8().await? != YES {
            let text = format!("the client has another key {id:?}; its option is PskClient::new");
            return Err(text.into());
        }
        let proof = read::<PROOF>(&mut io).await?;
        if !exchange.is_proof("client", &proof) {
            io.write_all(&[NO]).await?;
            return Err(format!("the client has not proved to have the key {id:?}").into());
        }
        io.write_all(&[YES]).await?;
        Ok(exchange.secured(io, "server", "client"))
    }
}

/// The values that both sides have once they have exchanged their nonces.
struct Exchange<'a> {
    key: &'a hmac::Key,
    id: &'a str,
    client_nonce: [u8; NONCE],
    server_nonce: [u8; NONCE],
}

impl Exchange<'_> {
    /// The nonces have a fixed length and no label has a slash, so that no two inputs are the same
    /// bytes.
    fn input(&self, label: &str) -> Vec<u8> {
        let mut input = Vec::new();
        input.extend(self.client_nonce);
        input.extend(self.server_nonce);
        input.extend(format!("{label}/{}", self.id).bytes());
        input
    }

    fn proof(&self, side: &str) -> hmac::Tag {
        hmac::sign(self.key, &self.input(side))
    }

    /// Compares in constant time.
    fn is_proof(&self, side: &str, proof: &[u8]) -> bool {
        hmac::verify(self.key, &self.input(side), proof).is_ok()
    }

    /// The key of the records that a side sends.
    fn record_key(&self, sender: &str) -> hmac::Key {
        let key = hmac::sign(self.key, &self.input(&format!("records of the {sender}")));
        hmac::Key::new(hmac::HMAC_SHA256, key.as_ref())
    }

    fn secured(&self, io: BoxedIo, us: &str, them: &str) -> Secured {
        let records = Records::new(io, self.record_key(us), self.record_key(them));
        // The records are not encrypted. A higher level would let tokens be sent in plain text.
        let auth = AuthInfo::new(PROTOCOL, SecurityLevel::IntegrityOnly);
        Secured::new(records, auth.with_details(KeyId(self.id.to_owned())))
    }
}

fn nonce() -> Result<[u8; NONCE], Box<dyn Error + Send + Sync>> {
    let mut nonce = [0; NONCE];
    let filled = SystemRandom::new().fill(&mut nonce);
    filled.map_err(|_| "the system has no random numbers")?;
    Ok(nonce)
}

async fn read<const N: usize>(io: &mut BoxedIo) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    io.read_exact(&mut bytes).await?;
    Ok(bytes)
}
