//! The paths of endpoints through a tree of policies.
//!
//! Set by resolvers; read by `priority` and `weighted_target`, on the channel's task.

use std::collections::HashMap;

use crate::resolver::Endpoint;

/// The path of an endpoint in a tree of policies with named children
/// (`weighted_target_experimental`, `priority_experimental`): an
/// [attribute](crate::resolver::Attributes) of an [`Endpoint`], with the name of a child for each
/// level.
///
/// Each such policy assigns the endpoint to the child of the first name, and removes that name. An
/// endpoint without a name or with an unknown name is not used.
///
/// ```
/// use rgrpc::balancer::HierarchyPath;
/// use rgrpc::io::Address;
/// use rgrpc::resolver::{Attributes, Endpoint};
///
/// // For the child "zone-1" of the child "near".
/// let path = HierarchyPath::new(["near", "zone-1"]);
/// let endpoint = Endpoint::from(Address::Name("backend-1:50051".to_owned()))
///     .with_attributes(Attributes::new().with(path));
/// ```
///
/// Source: gRFC A56, "Hierarchical Addresses"; grpc-go `internal/hierarchy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HierarchyPath(Vec<String>);

impl HierarchyPath {
    /// Creates a path. The first name is for the topmost policy.
    pub fn new<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    /// The names, in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

/// Groups endpoints by the first name of their paths, and removes that name.
pub(super) fn group(endpoints: Vec<Endpoint>) -> HashMap<String, Vec<Endpoint>> {
    let mut groups: HashMap<String, Vec<Endpoint>> = HashMap::new();
    for endpoint in endpoints {
        let path = endpoint.attributes.get::<HierarchyPath>();
        let Some((first, rest)) = path.and_then(|path| path.0.split_first()) else {
            continue;
        };
        let (first, rest) = (first.clone(), HierarchyPath(rest.to_vec()));
        let attributes = endpoint.attributes.clone().with(rest);
        let group = groups.entry(first).or_default();
        group.push(endpoint.with_attributes(attributes));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Address;
    use crate::resolver::{Attributes, EndpointWeight};

    fn endpoint(name: &str, path: &[&str]) -> Endpoint {
        let attributes = Attributes::new()
            .with(HierarchyPath::new(path.iter().copied()))
            .with(EndpointWeight(3));
        Endpoint::from(Address::Name(name.to_owned())).with_attributes(attributes)
    }

    #[test]
    fn endpoints_are_grouped_by_the_first_name_which_is_removed() {
        let groups = group(vec![
            endpoint("a", &["p0", "x"]),
            endpoint("b", &["p1", "y"]),
            endpoint("c", &["p0", "z"]),
            endpoint("d", &["p1"]),
        ]);
        assert_eq!(groups.len(), 2);
        assert_eq!(groups["p0"], [endpoint("a", &["x"]), endpoint("c", &["z"])]);
        assert_eq!(groups["p1"], [endpoint("b", &["y"]), endpoint("d", &[])]);
    }

    #[test]
    fn an_endpoint_without_a_name_is_not_used() {
        let groups = group(vec![
            endpoint("a", &[]),
            Endpoint::from(Address::Name("b".to_owned())),
        ]);
        assert!(groups.is_empty(), "{groups:?}");
    }
}
