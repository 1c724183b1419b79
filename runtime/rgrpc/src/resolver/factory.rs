//! The builder of a channel's resolvers, with its target and options.
//!
//! Created with the channel, on the user's task; asked by the channel's task when it leaves idle
//! mode.

use std::fmt;
use std::sync::Arc;

use super::{Resolver, ResolverBuilder, ResolverOptions, TargetError};
use crate::status::Status;

/// Builds the resolvers of one channel: a new one each time the channel leaves idle mode.
pub(crate) struct ResolverFactory {
    builder: Arc<dyn ResolverBuilder>,
    options: ResolverOptions,
}

impl ResolverFactory {
    /// Creates a factory, and validates the target by building a resolver. The error is the
    /// builder's.
    pub(crate) fn new(
        builder: Arc<dyn ResolverBuilder>,
        options: ResolverOptions,
    ) -> Result<Self, TargetError> {
        let target = options.channel.target();
        match builder.build(target, &options) {
            Ok(_) => Ok(Self { builder, options }),
            Err(problem) => Err(TargetError::new(target.as_str(), problem.to_string())),
        }
    }

    /// Builds a resolver. If that fails, the status is UNAVAILABLE.
    pub(crate) fn build(&self) -> Result<Box<dyn Resolver>, Status> {
        let target = self.options.channel.target();
        self.builder
            .build(target, &self.options)
            .map_err(|problem| {
                Status::unavailable(format!(
                    "there is no resolver for the target {target}: {problem}"
                ))
            })
    }
}

impl fmt::Debug for ResolverFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolverFactory")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::resolver::{ChannelInfo, ResolverError, StaticResolver, Target};

    /// A builder that rejects targets while the flag is false.
    struct SwitchedBuilder(Arc<AtomicBool>);

    impl ResolverBuilder for SwitchedBuilder {
        fn scheme(&self) -> &'static str {
            "fickle"
        }

        fn build(
            &self,
            _: &Target,
            _: &ResolverOptions,
        ) -> Result<Box<dyn Resolver>, ResolverError> {
            if self.0.load(Ordering::Relaxed) {
                Ok(Box::new(StaticResolver::new(Vec::new())))
            } else {
                Err(ResolverError::invalid_target("disabled"))
            }
        }
    }

    fn factory(enabled: &Arc<AtomicBool>) -> Result<ResolverFactory, TargetError> {
        let target = Target::parse("fickle:///a").expect("a target");
        let builder = Arc::new(SwitchedBuilder(Arc::clone(enabled)));
        ResolverFactory::new(builder, ResolverOptions::new(ChannelInfo::new(target)))
    }

    #[test]
    fn a_target_that_the_builder_rejects_is_an_error() {
        let error = factory(&Arc::default()).expect_err("rejected").to_string();
        assert_eq!(error, "the target \"fickle:///a\": disabled");
    }

    #[test]
    fn a_failure_to_build_a_later_resolver_names_the_target() {
        let enabled = Arc::new(AtomicBool::new(true));
        let factory = factory(&enabled).expect("made");
        enabled.store(false, Ordering::Relaxed);
        let Err(status) = factory.build() else {
            panic!("the builder rejects the target");
        };
        assert_eq!(
            status.message(),
            "there is no resolver for the target fickle:///a: disabled"
        );
    }
}
