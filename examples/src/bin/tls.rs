//! Mutual TLS: the server and the client each verify the other's certificate by a trusted CA. A
//! handler reads the client's certificate. A second server requests client certificates, and also
//! serves clients without one.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin tls
//! ```
//!
//! The CA is created at run time. A real program reads its certificates:
//! `ClientTls::new().ca_certificates(std::fs::read("ca.pem")?)`.

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use rgrpc::credentials::{ClientTls, ServerTls};
use rgrpc::{ClientConn, Request, Response, Server, ServerHandle, Status};
use tokio::net::TcpListener;
use x509_parser::parse_x509_certificate;

rgrpc::include_proto!("helloworld");

/// A greeter that uses the name in the client's certificate, which is verified, unlike the name in
/// the request.
struct Hello;

impl Greeter for Hello {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let subject = client_subject(&request)?.unwrap_or_else(|| "stranger".to_owned());
        let message = format!(
            "Hello, {subject}! You say you are {}.",
            request.message().name
        );
        Ok(Response::new(HelloReply { message }))
    }
}

/// Returns the subject of the client's certificate, if it has one.
fn client_subject<T>(request: &Request<T>) -> Result<Option<String>, Status> {
    let tls = request.context().and_then(|call| call.peer().tls());
    let certificates = tls.map_or(&[][..], |tls| &tls.peer_certificates);
    let Some(leaf) = certificates.first() else {
        return Ok(None);
    };
    let (_, leaf) = parse_x509_certificate(leaf)
        .map_err(|error| Status::unauthenticated(format!("the client's certificate: {error}")))?;
    println!(
        "a call of {}, whose chain has length {}",
        leaf.subject(),
        certificates.len()
    );
    Ok(Some(leaf.subject().to_string()))
}

/// Serves a greeter with these credentials on a free port.
async fn serve(tls: ServerTls) -> Result<(ServerHandle, String), Box<dyn Error>> {
    let mut server = Server::new().credentials(tls.build()?);
    register_greeter(&mut server, Hello)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    // The client verifies the target's name, so the certificate must be for "localhost".
    let target = format!("dns:///localhost:{}", listener.local_addr()?.port());
    tokio::spawn(server.serve_listener(listener));
    Ok((server.handle(), target))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ca = Ca::new()?;
    let (server_chain, server_key) = ca.sign("localhost", ExtendedKeyUsagePurpose::ServerAuth)?;
    let (client_chain, client_key) = ca.sign("ada", ExtendedKeyUsagePurpose::ClientAuth)?;

    let server_tls = ServerTls::new(server_chain, server_key);
    let (server, target) = serve(server_tls.clone().client_ca_certificates(ca.pem())).await?;
    let trusting = ClientTls::new().ca_certificates(ca.pem());
    let with_identity = trusting.clone().identity(client_chain, client_key);
    let greeter = GreeterClient::new(ClientConn::new(&*target, with_identity.build()?)?);
    let name = "the queen".to_owned();
    let reply = greeter.say_hello(HelloRequest { name }).await?;
    println!("{}", reply.message().message);

    // Without a certificate the connection is refused, and the status names the option.
    let stranger = GreeterClient::new(ClientConn::new(target, trusting.clone().build()?)?);
    if let Err(status) = stranger.say_hello(HelloRequest::default()).await {
        println!("without a certificate: {:?}", status.code());
        println!("{status}");
    }
    server.stop();

    // If the certificate is optional, the handler decides.
    let (server, target) = serve(server_tls.optional_client_ca_certificates(ca.pem())).await?;
    let stranger = GreeterClient::new(ClientConn::new(target, trusting.build()?)?);
    let reply = stranger.say_hello(HelloRequest::default()).await?;
    println!("{}", reply.message().message);
    server.graceful_stop().await;
    Ok(())
}

/// A CA for this program.
struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(
            params,
            KeyPair::generate()?,
        )?))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// Creates a certificate for this name, and its key, both as PEM.
    fn sign(
        &self,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<(String, String), rcgen::Error> {
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}
