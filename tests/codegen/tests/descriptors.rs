//! The embedded descriptors: what server reflection and other tools read.

use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto};
use rgrpc_codegen_tests::{REAL_DESCRIPTORS, difficult, health, nested, real};

fn decode(bytes: &[u8]) -> Vec<FileDescriptorProto> {
    FileDescriptorSet::decode(bytes)
        .expect("an encoded descriptor set")
        .file
}

fn names(bytes: &[u8]) -> Vec<String> {
    decode(bytes)
        .iter()
        .map(|file| file.name().to_owned())
        .collect()
}

#[test]
fn a_file_with_services_has_its_descriptors_and_those_of_all_it_imports_and_imports_come_first() {
    for (bytes, expected) in [
        (
            health::GRPC_HEALTH_V1_HEALTH_DESCRIPTOR_SET,
            &["grpc/health/v1/health.proto"][..],
        ),
        (
            real::grpc::reflection::v1::GRPC_REFLECTION_V1_REFLECTION_DESCRIPTOR_SET,
            &["grpc/reflection/v1/reflection.proto"],
        ),
        (
            real::grpc::channelz::v1::GRPC_CHANNELZ_V1_CHANNELZ_DESCRIPTOR_SET,
            &[
                "google/protobuf/any.proto",
                "google/protobuf/duration.proto",
                "google/protobuf/timestamp.proto",
                "google/protobuf/wrappers.proto",
                "grpc/channelz/v1/channelz.proto",
            ],
        ),
        (
            difficult::NO_PACKAGE_DESCRIPTOR_SET,
            &["torture/imported.proto", "no_package.proto"],
        ),
        (
            difficult::spread::SPREAD_MORE_AUDIT_DESCRIPTOR_SET,
            &[
                "spread/common/page.proto",
                "spread/more/orders_admin.proto",
                "spread/orders/v1/orders.proto",
                "spread/stock/v1/stock.proto",
                "spread/more/audit.proto",
            ],
        ),
    ] {
        let mut sorted = names(bytes);
        let last = sorted.pop();
        sorted.sort();
        sorted.extend(last);
        assert_eq!(sorted, expected);
        for (at, file) in decode(bytes).iter().enumerate() {
            let earlier = &names(bytes)[..at];
            assert!(
                file.dependency
                    .iter()
                    .all(|import| earlier.contains(import)),
                "{}",
                file.name()
            );
        }
    }
}

#[test]
fn descriptors_are_complete_but_for_comments() {
    for file in decode(REAL_DESCRIPTORS) {
        assert_eq!(file.source_code_info, None);
        for field in file.message_type.iter().flat_map(|message| &message.field) {
            assert!(
                field.json_name.is_some() && field.r#type.is_some(),
                "{}",
                field.name()
            );
            assert!(
                field
                    .type_name
                    .as_deref()
                    .is_none_or(|name| name.starts_with('.'))
            );
        }
    }
    let health = &decode(health::GRPC_HEALTH_V1_HEALTH_DESCRIPTOR_SET)[0];
    let methods: Vec<_> = health.service[0]
        .method
        .iter()
        .map(MethodDescriptorProto::name)
        .collect();
    assert!(
        methods.contains(&"Check") && methods.contains(&"Watch"),
        "{methods:?}"
    );
}

#[test]
fn one_package_alone_and_the_whole_tree_hold_the_same() {
    assert_eq!(
        health::GRPC_HEALTH_V1_HEALTH_DESCRIPTOR_SET,
        real::grpc::health::v1::GRPC_HEALTH_V1_HEALTH_DESCRIPTOR_SET
    );
    assert_eq!(
        health::GRPC_HEALTH_V1_HEALTH_DESCRIPTOR_SET,
        nested::grpc::health::v1::GRPC_HEALTH_V1_HEALTH_DESCRIPTOR_SET
    );
}

#[test]
fn the_set_that_is_written_holds_every_file_once() {
    let mut names = names(REAL_DESCRIPTORS);
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
    for file in [
        "grpc/health/v1/health.proto",
        "grpc/testing/test.proto",
        "google/protobuf/any.proto",
    ] {
        assert!(names.iter().any(|name| name == file), "{file}");
    }
}
