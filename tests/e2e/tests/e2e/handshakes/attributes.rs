//! Attributes of endpoints and of subchannels reach the handshake.

use std::sync::Arc;

use rgrpc::ConnectivityState::Ready;
use rgrpc::Status;
use rgrpc::balancer::{
    Balancer, BalancerBuilder, BalancerUpdate, ChannelControl, Pick, PickInfo, PickResult, Picker,
    SubConn, SubConnId, SubConnOptions, SubConnState,
};
use rgrpc::io::Address;
use rgrpc::resolver::{Attributes, Endpoint, EndpointWeight, ManualResolver, ResolverState};
use rgrpc_e2e::{StubClient, StubService, channel_builder, new_server, serve_with, soon};

use super::call;
use super::password::{Password, Tenant};

fn endpoint(tenant: &'static str, weight: u32) -> ResolverState {
    let backend = Endpoint::from(Address::Name("backend:1".to_owned()))
        .with_connection_attributes(Attributes::new().with(Tenant(tenant)))
        .with_attributes(Attributes::new().with(EndpointWeight(weight)));
    ResolverState::new(vec![backend])
}

#[tokio::test(start_paused = true)]
async fn connection_attributes_of_an_endpoint_reach_the_handshake_and_a_change_connects_again() {
    for policy in ["pick_first", "round_robin"] {
        let password = Password::new("right");
        let server = new_server().credentials(password.server());
        let server = serve_with(server, StubService::echo());
        let manual = ManualResolver::new("manual");
        let conn = channel_builder("manual:///stub.test:8443", password.client())
            .resolver(manual.clone())
            .dialer(server.connector())
            .default_service_config(format!(
                r#"{{"loadBalancingConfig": [{{"{policy}": {{}}}}]}}"#
            ))
            .build()
            .expect("a valid channel");
        let client = StubClient::new(conn);
        for (tenant, weight, connects) in [
            ("blue", 1, true),
            ("blue", 1, false),
            // Attributes for policies make no new connection.
            ("blue", 2, false),
            ("green", 2, true),
        ] {
            manual.update(endpoint(tenant, weight));
            if !connects {
                soon(manual.taken()).await.expect("it can be used");
            }
            let waiting = async {
                // The balancer may still have the earlier connection.
                loop {
                    call(&client).await.expect("OK");
                    let seen = password.take_seen();
                    if !connects || !seen.is_empty() {
                        break seen;
                    }
                    tokio::task::yield_now().await;
                }
            };
            let seen = soon(waiting).await;
            let expected = format!("stub.test stub.test:8443 backend:1 {tenant}");
            let expected = connects.then_some(expected);
            assert_eq!(seen, Vec::from_iter(expected), "{policy} {tenant} {weight}");
        }
    }
}

/// The policy `tenant`: one connection, whose subchannel has an attribute of the policy.
struct TenantBuilder;

#[derive(Default)]
struct TenantPolicy(Option<SubConn>);

struct OnePicker(SubConn);

impl BalancerBuilder for TenantBuilder {
    fn name(&self) -> &str {
        "tenant"
    }

    fn build(&self) -> Box<dyn Balancer> {
        Box::new(TenantPolicy::default())
    }
}

impl Balancer for TenantPolicy {
    fn update(
        &mut self,
        update: BalancerUpdate,
        control: &mut dyn ChannelControl,
    ) -> Result<(), Status> {
        let address = update.endpoints[0].addresses[0].clone();
        let attributes = Attributes::new().with(Tenant("of the policy"));
        let options = SubConnOptions::default().with_attributes(attributes);
        let subconn = control.create_subconn(address, options);
        subconn.connect();
        self.0 = Some(subconn);
        Ok(())
    }

    fn resolver_error(&mut self, _error: &Status, _control: &mut dyn ChannelControl) {}

    fn subconn_state(
        &mut self,
        _id: SubConnId,
        state: &SubConnState,
        control: &mut dyn ChannelControl,
    ) {
        if let (SubConnState::Ready(_), Some(subconn)) = (state, &self.0) {
            control.update_state(Ready, Arc::new(OnePicker(subconn.clone())));
        }
    }

    fn exit_idle(&mut self, _control: &mut dyn ChannelControl) {}
}

impl Picker for OnePicker {
    fn pick(&self, _call: &PickInfo<'_>) -> PickResult<'_> {
        PickResult::Pick(Pick::new(&self.0))
    }
}

#[tokio::test(start_paused = true)]
async fn attributes_that_a_policy_gives_a_subchannel_reach_the_handshake() {
    let password = Password::new("right");
    let server = new_server().credentials(password.server());
    let server = serve_with(server, StubService::echo());
    let conn = super::channel(&server, password.client())
        .balancer(TenantBuilder)
        .default_service_config(r#"{"loadBalancingConfig": [{"tenant": {}}]}"#)
        .build()
        .expect("a valid channel");
    call(&StubClient::new(conn)).await.expect("OK");
    assert_eq!(
        password.take_seen(),
        ["stub.test stub.test:443 stub.test:443 of the policy"]
    );
}
