//! The generated service tables, constants and functions.

use rgrpc::{Server, ServiceDesc};
use rgrpc_codegen_tests::difficult::torture;
use rgrpc_codegen_tests::real::grpc::{binarylog, channelz, health, reflection, testing};
use rgrpc_codegen_tests::{nested, options};

/// Implements every service with its default bodies.
struct Defaults;

impl testing::TestService for Defaults {}
impl testing::UnimplementedService for Defaults {}
impl testing::BenchmarkService for Defaults {}
impl testing::WorkerService for Defaults {}
impl health::v1::Health for Defaults {}
impl nested::grpc::health::v1::Health for Defaults {}
impl channelz::v1::Channelz for Defaults {}
impl reflection::v1::ServerReflection for Defaults {}
impl reflection::v1alpha::ServerReflection for Defaults {}
impl torture::Foo_ for Defaults {}
impl torture::Foo__ for Defaults {}
impl torture::FooBar for Defaults {}
impl torture::FooBarClient for Defaults {}
impl torture::Keywords for Defaults {}
impl torture::Register for Defaults {}
impl torture::Desc for Defaults {}
impl torture::File for Defaults {}
impl torture::WellKnown for Defaults {}
impl torture::two::Classic for Defaults {}

fn methods<T>(desc: &ServiceDesc<T>) -> Vec<&'static str> {
    desc.methods
        .iter()
        .map(|method| method.method_name)
        .collect()
}

/// Name, client streams, server streams.
fn streams<T>(desc: &ServiceDesc<T>) -> Vec<(&'static str, bool, bool)> {
    desc.streams
        .iter()
        .map(|stream| {
            (
                stream.stream_name,
                stream.client_streams,
                stream.server_streams,
            )
        })
        .collect()
}

#[test]
fn unary_methods_and_streams_are_in_tables_of_their_own_in_the_schemas_order() {
    let desc = testing::test_service_desc::<Defaults>();
    assert_eq!(desc.service_name, "grpc.testing.TestService");
    assert_eq!(
        methods(desc),
        [
            "EmptyCall",
            "UnaryCall",
            "CacheableUnaryCall",
            "UnimplementedCall"
        ]
    );
    assert_eq!(
        streams(desc),
        [
            ("StreamingOutputCall", false, true),
            ("StreamingInputCall", true, false),
            ("FullDuplexCall", true, true),
            ("HalfDuplexCall", true, true),
        ]
    );
    assert_eq!(desc.file.name, "grpc/testing/test.proto");
    assert_eq!(
        desc.file.descriptor_set,
        testing::GRPC_TESTING_TEST_DESCRIPTOR_SET
    );
}

#[test]
fn a_method_is_named_as_the_schema_has_it_whatever_its_rust_name() {
    for (constant, expected) in [
        (health::v1::HEALTH_CHECK, "/grpc.health.v1.Health/Check"),
        (
            reflection::v1alpha::SERVER_REFLECTION_SERVER_REFLECTION_INFO,
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ),
        (rgrpc_codegen_tests::difficult::NOWHERE_GO, "/Nowhere/Go"),
        (torture::FOO_ASK, "/torture.foo/Ask"),
        (torture::KEYWORDS_TYPE, "/torture.Keywords/type"),
        (torture::KEYWORDS_SELF, "/torture.Keywords/Self"),
        (torture::KEYWORDS_GET_X, "/torture.Keywords/GetX"),
        (torture::KEYWORDS_GET_X_, "/torture.Keywords/get_x"),
        (torture::FOO_BAR_BAZ, "/torture.FooBar/Baz"),
        (torture::FOO_BAR_BAZ_, "/torture.Foo_/BarBaz"),
        (torture::FILE_DESCRIPTOR_SET, "/torture.File/DescriptorSet"),
    ] {
        assert_eq!(constant, expected);
    }
    let desc = torture::keywords_desc::<Defaults>();
    assert_eq!(
        methods(desc),
        [
            "type",
            "New",
            "Cmp",
            "IntoIterator",
            "GetX",
            "Request",
            "Service"
        ]
    );
    assert_eq!(
        streams(desc),
        [
            ("Self", false, true),
            ("Move", true, false),
            ("Clone", true, false),
            ("get_x", true, true)
        ]
    );
}

#[test]
fn services_whose_names_collide_keep_their_own_tables() {
    assert_eq!(torture::foo_desc::<Defaults>().service_name, "torture.foo");
    assert_eq!(
        torture::foo_desc_::<Defaults>().service_name,
        "torture.Foo_"
    );
    assert_eq!(
        torture::foo_bar_client_desc::<Defaults>().service_name,
        "torture.FooBarClient"
    );
    assert_eq!(
        torture::two::classic_desc::<Defaults>().service_name,
        "torture.two.Classic"
    );
    // `Desc` asks for this as its register function, `Register` as its table; the first in the file
    // gets it.
    let mut server = Server::new();
    torture::register_desc(&mut server, Defaults).expect("torture.Desc is new");
    assert_eq!(
        torture::register_desc_::<Defaults>().service_name,
        "torture.Register"
    );
    torture::register_register(&mut server, Defaults).expect("torture.Register is new");
}

#[test]
fn clients_have_the_methods_by_the_traits_names() {
    // The test is that this compiles.
    let _ = |client: &torture::KeywordsClient, request: torture::Foo| {
        let _ = client.r#type(request);
        let _ = client.self_(request);
        let _ = client.r#move();
        let _ = client.new_(request);
        let _ = client.clone_();
        let _: torture::KeywordsClient = client.clone();
        let _ = client.get_x(request);
        let _ = client.get_x_();
    };
    let _ = |client: &torture::FooBarClient_| {
        let _ = client.baz(torture::foo::bar::Baz::default());
    };
    let _ = |client: &torture::FooBarClientClient| {
        let _ = client.call(torture::Foo::default());
    };
}

#[test]
fn registering_a_service_twice_is_an_error() {
    let mut server = Server::new();
    health::v1::register_health(&mut server, Defaults).expect("the first");
    reflection::v1::register_server_reflection(&mut server, Defaults).expect("another");
    reflection::v1alpha::register_server_reflection(&mut server, Defaults)
        .expect("another version");
    health::v1::register_health(&mut server, Defaults).expect_err("the second of its name");
}

#[test]
fn every_rpc_of_the_public_schemas_is_in_a_table() {
    for (unary, streaming, expected) in [
        (
            channelz::v1::channelz_desc::<Defaults>().methods.len(),
            channelz::v1::channelz_desc::<Defaults>().streams.len(),
            (7, 0),
        ),
        (
            testing::benchmark_service_desc::<Defaults>().methods.len(),
            testing::benchmark_service_desc::<Defaults>().streams.len(),
            (1, 4),
        ),
        (
            testing::worker_service_desc::<Defaults>().methods.len(),
            testing::worker_service_desc::<Defaults>().streams.len(),
            (2, 2),
        ),
    ] {
        assert_eq!((unary, streaming), expected);
    }
    // A schema without services has its messages.
    assert_eq!(binarylog::v1::GrpcLogEntry::default().call_id, 0);
}

#[test]
fn options_change_the_code_as_they_say() {
    use options::torture as changed;

    // `extern_path`: the types of the other generation, not copies.
    let pair = changed::Pair {
        left: Some(torture::imported::Left::default()),
        ..Default::default()
    };
    assert!(pair.left.is_some());
    // `boxed`.
    let _ = |foo: Box<String>| changed::foo_client::Choice::Left(*foo);
    // `type_attribute`: derived for the message and for what is nested in it.
    assert!(changed::Foo::default() <= changed::Foo::default());

    // `require_methods`: this compiles because every method is here.
    struct All;
    impl changed::Second for All {
        async fn swap(
            &self,
            _: rgrpc::Request<changed::Pair>,
        ) -> Result<rgrpc::Response<torture::imported::Right>, rgrpc::Status> {
            Ok(rgrpc::Response::new(torture::imported::Right {}))
        }
    }
    // `file_descriptor_set=false`.
    assert!(changed::second_desc::<All>().file.descriptor_set.is_empty());
}

#[test]
fn two_calls_for_one_folder_give_the_code_of_both() {
    use rgrpc_codegen_tests::twice::spread;

    struct Both;
    impl spread::orders::v1::Orders for Both {}
    impl spread::orders::v1::OrdersAdmin for Both {}

    let mut server = rgrpc::Server::new();
    spread::orders::v1::register_orders(&mut server, Both).expect("a name of its own");
    spread::orders::v1::register_orders_admin(&mut server, Both).expect("a name of its own");
    let item = spread::stock::v1::Item::default();
    assert_eq!(item.name, "");
}
