//! What a call with an authority or with credentials of its own needs of the connection that it is
//! to go by.

use std::pin::pin;

use super::ClientConn;
use super::authority;
use super::retry::Failure;
use super::wait::{GivenUp, Wait};
use crate::call::CallOptions;
use crate::credentials::{RequestInfo, per_rpc};
use crate::io::Peer;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::transport::Delivery;

impl ClientConn {
    /// Whether there is anything to [vet](Self::vet).
    pub(super) fn vets(&self, options: &CallOptions) -> bool {
        options.authority().is_some() || self.has_credentials_for(options)
    }

    fn has_credentials_for(&self, options: &CallOptions) -> bool {
        !self.settings().per_rpc_credentials.is_empty() || !options.credentials().is_empty()
    }

    /// Checks the call's authority against the connection, and asks the per-RPC credentials of the
    /// channel and of the call; returns the request's metadata if that is not the call's own.
    ///
    /// Cancel-safe.
    pub(super) async fn vet(
        &self,
        method: &str,
        options: &CallOptions,
        peer: &Peer,
        given_up: &GivenUp,
    ) -> Result<Option<Metadata>, Failure> {
        if let Some(authority) = options.authority() {
            self.check_authority(authority, peer)
                .map_err(Failure::here)?;
        }
        if !self.has_credentials_for(options) {
            return Ok(None);
        }
        let mut metadata = pin!(self.credentials_for(method, options, peer));
        let waiting = given_up.waiting(|| Some(Wait::Credentials));
        let metadata = metadata.as_mut().await;
        waiting.over();
        metadata.map(Some)
    }

    fn check_authority(&self, authority: &str, peer: &Peer) -> Result<(), Status> {
        let refused = |problem| {
            Status::unavailable(format!(
                "the call's authority {authority:?} is not for {}: {problem}",
                peer.remote
            ))
        };
        let host = authority::host(authority).map_err(refused)?;
        let credentials = &self.settings().credentials;
        credentials.check_host(host, peer).map_err(refused)
    }

    /// The call's metadata and that of all credentials.
    async fn credentials_for(
        &self,
        method: &str,
        options: &CallOptions,
        peer: &Peer,
    ) -> Result<Metadata, Failure> {
        let settings = self.settings();
        let authority = options.authority().unwrap_or(&settings.origin.authority);
        let request = RequestInfo::new(method, authority, peer);
        let mut metadata = options.metadata().clone();
        // Those of the channel were checked when it was made.
        let secure = settings.credentials.are_secure();
        if let Some(credentials) = options
            .credentials()
            .iter()
            .find(|credentials| credentials.requires_transport_security() && !secure)
        {
            return Err(Failure::here(Status::unauthenticated(format!(
                "the per-RPC credentials {} are for secure connections alone, and the channel's \
                 credentials are insecure()",
                credentials.name()
            ))));
        }
        for all in [&*settings.per_rpc_credentials, options.credentials()] {
            let added = per_rpc::add_metadata(all, request, &mut metadata).await;
            added.map_err(|status| Failure {
                status,
                delivery: Delivery::Possible,
                is_final: false,
            })?;
        }
        Ok(metadata)
    }
}
