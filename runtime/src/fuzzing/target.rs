//! Targets of channels: what is accepted has an authority, and can be written in full.

use crate::resolver::{Target, TargetEndpoint};

/// Takes the octets as a target, if they are text.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let target = match Target::parse(text) {
        Ok(target) => target,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert_eq!(target.to_string(), text);
    let authority = target.authority();
    assert!(
        authority.parse::<http::uri::Authority>().is_ok() && !authority.contains('@'),
        "{text:?} has the authority {authority:?}"
    );
    let in_full = match target.endpoint() {
        // Brackets hold anything but themselves.
        TargetEndpoint::Dns { host, .. } if host.contains(']') => return,
        TargetEndpoint::Dns { host, port } if host.contains([':', '[']) => {
            format!("dns:///[{}]:{port}", escaped(host))
        }
        TargetEndpoint::Dns { host, port } => format!("dns:///{}:{port}", escaped(host)),
        TargetEndpoint::Passthrough(name) => format!("passthrough:///{}", escaped(name)),
        TargetEndpoint::Unix(path) if path.starts_with('/') => format!("unix://{path}"),
        TargetEndpoint::Unix(path) => format!("unix:{path}"),
        TargetEndpoint::Ip(addresses) => {
            assert!(!addresses.is_empty());
            let family = if addresses[0].is_ipv4() {
                "ipv4"
            } else {
                "ipv6"
            };
            let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            format!("{family}:{}", list.join(","))
        }
    };
    let again = Target::parse(&in_full).expect("a target in full");
    assert_eq!(again.endpoint(), target.endpoint(), "{text:?}, {in_full:?}");
}

fn escaped(endpoint: &str) -> String {
    endpoint.replace('%', "%25")
}
