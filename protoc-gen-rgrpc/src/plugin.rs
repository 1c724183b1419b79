//! The plugin's front end, from a `CodeGeneratorRequest` to a `CodeGeneratorResponse`.
//!
//! protoc and buf start the binary, write the request to its standard input and read the response
//! from its standard output. A problem of the request becomes the response's `error`, which they
//! print; the exit status stays 0.

use prost::Message as _;
use prost_types::compiler::code_generator_response::{Feature, File};
use prost_types::compiler::{CodeGeneratorRequest, CodeGeneratorResponse};

use crate::error::Error;
use crate::lossy;
use crate::options::{KNOWN, Options};
use crate::package;
use crate::schema::Schema;

/// Returns the encoded response to an encoded request.
#[must_use]
pub fn respond(request: &[u8]) -> Vec<u8> {
    let mut response = CodeGeneratorResponse {
        supported_features: Some(Feature::Proto3Optional as u64),
        ..CodeGeneratorResponse::default()
    };
    match generate(request) {
        Ok(files) => response.file = files,
        Err(error) => response.error = Some(error.to_string()),
    }
    response.encode_to_vec()
}

fn generate(request: &[u8]) -> Result<Vec<File>, Error> {
    let request: CodeGeneratorRequest = lossy::decode(request, lossy::REQUEST_FILE)
        .map_err(|error| Error::Request(error.to_string()))?;
    let options = Options::parse(request.parameter())?;
    let schema = Schema::new(request.proto_file, &request.file_to_generate, &options)?;
    let files = package::generate(&schema, &options)?;
    Ok(files
        .into_iter()
        .map(|file| File {
            name: Some(file.name),
            content: Some(file.content),
            ..File::default()
        })
        .collect())
}

/// Returns the text of `--help`.
#[must_use]
pub fn help() -> String {
    let mut text = String::from(
        "\
protoc-gen-rgrpc generates messages, service traits and client stubs for rgrpc.

It is a plugin of protoc and of buf, which write a request to its standard input:

    protoc --rgrpc_out=src/proto --rgrpc_opt=client=false,bytes=. route_guide.proto

Several runs may write to one folder: `mod.rs` includes all generated files of its folder.

Options, separated by commas:

",
    );
    for (name, meaning) in KNOWN {
        text.push_str(&format!("    {name:<20} {meaning}\n"));
    }
    text.push_str("\nFlags: --help, --version\n");
    text
}
