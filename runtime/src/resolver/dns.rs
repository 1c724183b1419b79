use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::io::Address;
use crate::status::Status;

/// How long a lookup may take, as in grpc-go.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(30);

/// Looks up the addresses of a host by the system's resolver.
pub(super) async fn lookup(host: &str, port: u16) -> Result<Vec<Address>, Status> {
    let failed = |cause: &str| {
        Status::unavailable(format!(
            "name resolution of {host:?} by dns failed: {cause}"
        ))
    };
    let addresses: Vec<_> = match timeout(LOOKUP_TIMEOUT, lookup_host((host, port))).await {
        Ok(Ok(addresses)) => addresses.map(Address::Tcp).collect(),
        Ok(Err(error)) => return Err(failed(&error.to_string())),
        Err(_) => return Err(failed("no answer within 30 s")),
    };
    if addresses.is_empty() {
        return Err(failed("the name has no addresses"));
    }
    Ok(addresses)
}
