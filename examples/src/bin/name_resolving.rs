//! A custom resolver, by which a channel learns the addresses of its backends and their changes.
//!
//! ```text
//! cargo run -p rgrpc-examples --bin name_resolving
//! ```
//!
//! There are two ways. The scheme `book` has its own resolver, which looks up names in a book that
//! others write. The scheme `manual` has a `ManualResolver`, for a program that knows the backends
//! itself.

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;

use rgrpc::io::Address;
use rgrpc::resolver::{
    ManualResolver, Resolver, ResolverBuilder, ResolverControl, ResolverError, ResolverFuture,
    ResolverOptions, ResolverState, Target,
};
use rgrpc::{ClientConn, Request, Response, Server, Status, credentials};
use tokio::net::TcpListener;
use tokio::sync::watch;

rgrpc::include_proto!("helloworld");

/// The addresses of services, by name.
type Book = BTreeMap<String, Vec<SocketAddr>>;

/// The builder of resolvers for the scheme `book`.
struct BookBuilder(watch::Receiver<Book>);

impl ResolverBuilder for BookBuilder {
    fn scheme(&self) -> &'static str {
        "book"
    }

    fn build(
        &self,
        target: &Target,
        _: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, ResolverError> {
        if target.endpoint().is_empty() {
            let problem = "the name of a service is expected: book:///name";
            return Err(ResolverError::invalid_target(problem));
        }
        Ok(Box::new(BookReader {
            name: target.endpoint().to_owned(),
            book: self.0.clone(),
        }))
    }
}

/// A resolver that looks up one name, again after each change of the book.
struct BookReader {
    name: String,
    book: watch::Receiver<Book>,
}

impl Resolver for BookReader {
    fn run(mut self: Box<Self>, control: ResolverControl) -> ResolverFuture {
        Box::pin(async move {
            loop {
                let found = self.book.borrow_and_update().get(&self.name).cloned();
                match found {
                    Some(addresses) => {
                        let addresses = addresses.into_iter().map(Address::Tcp);
                        // The channel reports an unusable state in the errors of calls.
                        let _ = control.update(ResolverState::of_addresses(addresses)).await;
                    }
                    None => {
                        let problem = format!("{:?} is not in the book", self.name);
                        control.error(Status::unavailable(problem)).await;
                    }
                }
                if self.book.changed().await.is_err() {
                    // The book does not change any more: the last state remains.
                    return;
                }
            }
        })
    }
}

/// A greeter that responds with its name.
struct Backend(&'static str);

impl Greeter for Backend {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let message = format!("Hello, {}! This is {}.", request.message().name, self.0);
        Ok(Response::new(HelloReply { message }))
    }
}

/// Starts a backend. Returns its address.
async fn start(name: &'static str) -> Result<SocketAddr, Box<dyn Error>> {
    let mut server = Server::new();
    register_greeter(&mut server, Backend(name))?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(server.serve_listener(listener));
    Ok(address)
}

/// Makes calls until this backend responds, because the channel receives a change a moment later.
async fn call(greeter: &GreeterClient<ClientConn>, backend: &str) -> Result<(), Status> {
    loop {
        let request = HelloRequest {
            name: "Ada".to_owned(),
        };
        let reply = greeter.say_hello(request).wait_for_ready(true).await?;
        if reply.message().message.contains(backend) {
            println!("{}", reply.message().message);
            return Ok(());
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (first, second) = (start("the first").await?, start("the second").await?);

    let (book, reader) = watch::channel(Book::new());
    let conn = ClientConn::builder("book:///greeter", credentials::insecure())
        .resolver(BookBuilder(reader))
        .build()?;
    let greeter = GreeterClient::new(conn);
    match greeter.say_hello(HelloRequest::default()).await {
        Ok(_) => return Err("nobody has written into the book".into()),
        Err(status) => println!("{}", status.code()),
    }
    book.send_modify(|book| drop(book.insert("greeter".to_owned(), vec![first])));
    call(&greeter, "the first").await?;
    book.send_modify(|book| drop(book.insert("greeter".to_owned(), vec![second])));
    call(&greeter, "the second").await?;

    let manual = ManualResolver::new("manual");
    let conn = ClientConn::builder("manual:///greeter", credentials::insecure())
        .resolver(manual.clone())
        .build()?;
    let greeter = GreeterClient::new(conn);
    for (address, backend) in [(first, "the first"), (second, "the second")] {
        manual.update(ResolverState::of_addresses([Address::Tcp(address)]));
        call(&greeter, backend).await?;
    }
    Ok(())
}
