//! A toy handshake of both sides: the client sends a name and a password in plain text, the server
//! answers with one octet.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use rgrpc::credentials::{
    AuthInfo, ChannelCredentials, ClientHandshake, ClientHandshakeInfo, HandshakeResult, Secured,
    SecurityLevel, ServerCredentials, ServerHandshake, ServerHandshakeInfo,
};
use rgrpc::io::{BoxedIo, Peer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// The name of the other side, which the handshake yields as a detail.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Name(pub(super) String);

/// The options of both sides.
#[derive(Clone)]
pub(super) struct Password {
    pub(super) name: &'static str,
    pub(super) password: &'static str,
    pub(super) level: SecurityLevel,
    /// Masks all octets after the handshake, so that the stream is a type of its own.
    pub(super) masked: bool,
    pub(super) server_name: Option<&'static str>,
    /// The inputs of the client's handshakes.
    pub(super) seen: Seen,
}

/// A handshake as it was told to the client: server name, authority, address, attribute.
pub(super) type Seen = Arc<Mutex<Vec<String>>>;

/// An attribute that the handshake reads.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tenant(pub(super) &'static str);

impl Password {
    pub(super) fn new(password: &'static str) -> Self {
        Self {
            name: "ada",
            password,
            level: SecurityLevel::NoSecurity,
            masked: false,
            server_name: None,
            seen: Seen::default(),
        }
    }

    pub(super) fn level(self, level: SecurityLevel) -> Self {
        Self { level, ..self }
    }

    pub(super) fn masked(self) -> Self {
        Self {
            masked: true,
            ..self
        }
    }

    pub(super) fn client(&self) -> ChannelCredentials {
        ChannelCredentials::new(self.clone())
    }

    pub(super) fn server(&self) -> ServerCredentials {
        ServerCredentials::new(self.clone())
    }

    pub(super) fn take_seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn secured(&self, io: BoxedIo, name: String) -> Secured {
        let auth = AuthInfo::new("password", self.level).with_details(Name(name));
        match self.masked {
            true => Secured::new(Masked(io), auth),
            false => Secured::new(io, auth),
        }
    }
}

impl ClientHandshake for Password {
    fn protocol(&self) -> &'static str {
        "password"
    }

    fn server_name(&self) -> Option<&str> {
        self.server_name
    }

    fn check_host(
        &self,
        host: &str,
        peer: &Peer,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        match peer.auth.details() {
            Some(Name(name)) if host.ends_with(&**name) => Ok(()),
            _ => Err("the server has another name".into()),
        }
    }

    async fn handshake(&self, mut io: BoxedIo, info: ClientHandshakeInfo<'_>) -> HandshakeResult {
        assert!(info.deadline().is_some(), "an attempt has a timeout");
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(format!(
                "{} {} {} {}",
                info.server_name(),
                info.authority(),
                info.address(),
                info.attribute::<Tenant>().map_or("-", |tenant| tenant.0),
            ));
        write_text(&mut io, self.name).await?;
        write_text(&mut io, self.password).await?;
        match read_text(&mut io).await?.as_str() {
            "" => Err("the password is wrong; the option is Password::password".into()),
            name => {
                let name = name.to_owned();
                Ok(self.secured(io, name))
            }
        }
    }
}

impl ServerHandshake for Password {
    fn protocol(&self) -> &'static str {
        "password"
    }

    async fn handshake(&self, mut io: BoxedIo, _: ServerHandshakeInfo<'_>) -> HandshakeResult {
        let name = read_text(&mut io).await?;
        if read_text(&mut io).await? != self.password {
            write_text(&mut io, "").await?;
            return Err(format!("the password of {name:?} is wrong").into());
        }
        write_text(&mut io, "stub").await?;
        Ok(self.secured(io, name))
    }
}

async fn write_text(io: &mut BoxedIo, text: &str) -> io::Result<()> {
    io.write_u8(u8::try_from(text.len()).expect("a short text"))
        .await?;
    io.write_all(text.as_bytes()).await
}

async fn read_text(io: &mut BoxedIo) -> io::Result<String> {
    let mut text = vec![0; usize::from(io.read_u8().await?)];
    io.read_exact(&mut text).await?;
    String::from_utf8(text).map_err(io::Error::other)
}

/// A stream whose octets are inverted.
struct Masked(BoxedIo);

impl AsyncRead for Masked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.0).poll_read(cx, buf);
        for octet in &mut buf.filled_mut()[before..] {
            *octet = !*octet;
        }
        read
    }
}

impl AsyncWrite for Masked {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let masked: Vec<u8> = buf.iter().map(|octet| !octet).collect();
        Pin::new(&mut self.0).poll_write(cx, &masked)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
