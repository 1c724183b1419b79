use std::fmt;
use std::sync::Arc;

use super::{Resolver, ResolverBuilder, ResolverOptions, Target, TargetError};
use crate::status::Status;

/// Makes the resolvers of one channel: a fresh one each time that it leaves idle mode.
pub(crate) struct ResolverFactory {
    builder: Arc<dyn ResolverBuilder>,
    target: Target,
    options: ResolverOptions,
}

impl ResolverFactory {
    /// The error is what the builder says of the target, which is asked for a resolver to learn it.
    pub(crate) fn new(
        builder: Arc<dyn ResolverBuilder>,
        target: Target,
        options: ResolverOptions,
    ) -> Result<Self, TargetError> {
        match builder.build(&target, &options) {
            Ok(_) => Ok(Self {
                builder,
                target,
                options,
            }),
            Err(problem) => Err(TargetError::new(&target.to_string(), problem)),
        }
    }

    /// A resolver. That none can be made, though one could before, is UNAVAILABLE.
    pub(crate) fn build(&self) -> Result<Box<dyn Resolver>, Status> {
        self.builder
            .build(&self.target, &self.options)
            .map_err(|problem| {
                Status::unavailable(format!(
                    "there is no resolver for the target {}: {problem}",
                    self.target
                ))
            })
    }
}

impl fmt::Debug for ResolverFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolverFactory")
            .field("target", &self.target)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::resolver::StaticResolver;

    /// Makes resolvers until it is told not to.
    struct Fickle(Arc<AtomicBool>);

    impl ResolverBuilder for Fickle {
        fn scheme(&self) -> &'static str {
            "fickle"
        }

        fn build(&self, _: &Target, _: &ResolverOptions) -> Result<Box<dyn Resolver>, String> {
            if self.0.load(Ordering::Relaxed) {
                Ok(Box::new(StaticResolver::new(Vec::new())))
            } else {
                Err("not today".to_owned())
            }
        }
    }

    fn factory(willing: &Arc<AtomicBool>) -> Result<ResolverFactory, TargetError> {
        let target = Target::parse("fickle:///a").expect("a target");
        let builder = Arc::new(Fickle(Arc::clone(willing)));
        ResolverFactory::new(builder, target, ResolverOptions::default())
    }

    #[test]
    fn a_target_that_the_builder_refuses_is_an_error() {
        let error = factory(&Arc::default()).expect_err("refused").to_string();
        assert_eq!(error, "the target \"fickle:///a\": not today");
    }

    #[test]
    fn a_resolver_that_can_no_longer_be_made_is_an_error_that_names_the_target() {
        let willing = Arc::new(AtomicBool::new(true));
        let factory = factory(&willing).expect("made");
        willing.store(false, Ordering::Relaxed);
        let Err(status) = factory.build() else {
            panic!("it was told not to");
        };
        assert_eq!(
            status.message(),
            "there is no resolver for the target fickle:///a: not today"
        );
    }
}
