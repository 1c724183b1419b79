//! `--additional_metadata`: metadata that goes with every call of a channel.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use rgrpc::{
    CallOptions, Codec, Invoke, Metadata, MetadataError, MethodName, RecvStream, Response,
    SendStream, Status,
};

/// Metadata in the form of the flag: `key:value;key:value`, where a value has no semicolon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdditionalMetadata(Metadata);

/// An error in the flag's value.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// An element has no colon.
    NoColon(String),
    /// A key or a value that metadata cannot carry.
    Metadata(MetadataError),
}

impl FromStr for AdditionalMetadata {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut metadata = Metadata::new();
        // The last value may be followed by a semicolon, as in grpc-go.
        for element in text.split_terminator(';') {
            let (key, value) = element
                .split_once(':')
                .ok_or_else(|| ParseError::NoColon(element.to_owned()))?;
            metadata
                .append(key.to_owned(), value.to_owned())
                .map_err(ParseError::Metadata)?;
        }
        Ok(Self(metadata))
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoColon(element) => write!(f, "no colon in {element:?}: key:value is expected"),
            Self::Metadata(error) => error.fmt(f),
        }
    }
}

impl Error for ParseError {}

/// Makes calls through `I`, and adds metadata to each.
#[derive(Clone, Debug)]
pub struct WithMetadata<I> {
    channel: I,
    metadata: Metadata,
}

impl<I> WithMetadata<I> {
    /// The channel, and what its calls carry.
    pub fn new(channel: I, metadata: AdditionalMetadata) -> Self {
        Self {
            channel,
            metadata: metadata.0,
        }
    }

    fn add_to(&self, mut options: CallOptions) -> CallOptions {
        options.metadata_mut().merge(self.metadata.clone());
        options
    }
}

impl<I: Invoke> Invoke for WithMetadata<I> {
    async fn invoke<C, Req, Res>(
        &self,
        codec: C,
        method: MethodName,
        message: Req,
        options: CallOptions,
    ) -> Result<Response<Res>, Status>
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + Sync + 'static,
        Res: Send + 'static,
    {
        let options = self.add_to(options);
        self.channel.invoke(codec, method, message, options).await
    }

    async fn new_stream<C, Req, Res>(
        &self,
        codec: C,
        method: MethodName,
        options: CallOptions,
    ) -> Result<(SendStream<Req>, RecvStream<Res>), Status>
    where
        C: Codec<Req> + Codec<Res>,
        Req: Send + 'static,
        Res: Send + 'static,
    {
        let options = self.add_to(options);
        self.channel.new_stream(codec, method, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_apart_by_semicolons_and_a_value_may_have_colons() {
        for (text, want) in [
            ("", vec![]),
            ("a:1", vec![("a", "1")]),
            ("a:1;", vec![("a", "1")]),
            ("a:1;b:2:3", vec![("a", "1"), ("b", "2:3")]),
            ("a:;a:2", vec![("a", ""), ("a", "2")]),
        ] {
            let AdditionalMetadata(got) = text.parse().expect("well-formed");
            let got: Vec<_> = got.iter().collect();
            let want: Vec<_> = want
                .into_iter()
                .map(|(key, value)| (key, value.as_bytes()))
                .collect();
            assert_eq!(got, want, "{text:?}");
        }
    }

    #[test]
    fn an_element_without_a_colon_is_an_error_and_so_is_a_key_of_the_protocol() {
        for (text, error) in [
            ("a:1;b", "no colon in \"b\""),
            ("a:1;;b:2", "no colon in \"\""),
            ("grpc-status:0", "\"grpc-status\""),
        ] {
            let got = text.parse::<AdditionalMetadata>().unwrap_err().to_string();
            assert!(got.contains(error), "{text:?}: {got}");
        }
    }
}
