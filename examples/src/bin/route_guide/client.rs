//! The client: a call of each method.

use std::error::Error;

use rgrpc::{ClientConn, Status, credentials};

use crate::{Feature, Point, Rectangle, RouteGuideClient, RouteNote};

const LIGHTHOUSE: Point = point(591_160_778, 104_249_544);
const OPEN_SEA: Point = point(590_000_000, 100_000_000);
const LO: Point = point(590_600_000, 103_800_000);
const HI: Point = point(591_100_000, 104_300_000);

const fn point(latitude: i32, longitude: i32) -> Point {
    Point {
        latitude,
        longitude,
    }
}

/// Calls every method of the guide at `address`.
pub(crate) async fn run(address: &str) -> Result<(), Box<dyn Error>> {
    let conn = ClientConn::new(address, credentials::insecure())?;
    let guide = RouteGuideClient::new(conn);

    get_feature(&guide).await?;
    let found = list_features(&guide).await?;
    record_route(&guide, &found).await?;
    route_chat(&guide).await?;
    Ok(())
}

/// A unary call for each of two points.
async fn get_feature(guide: &RouteGuideClient) -> Result<(), Status> {
    println!("GetFeature");
    for point in [LIGHTHOUSE, OPEN_SEA] {
        let feature = guide.get_feature(point).await?.into_message();
        match feature.name.as_str() {
            "" => println!("  nothing at {}", at(point)),
            name => println!("  {name} at {}", at(point)),
        }
    }
    Ok(())
}

/// A server-streaming call that receives the features of a region.
async fn list_features(guide: &RouteGuideClient) -> Result<Vec<Feature>, Status> {
    println!("ListFeatures from {} to {}", at(LO), at(HI));
    let region = Rectangle {
        lo: Some(LO),
        hi: Some(HI),
    };
    let mut features = guide.list_features(region).await?;
    let mut found = Vec::new();
    while let Some(feature) = features.recv().await? {
        println!("  {}", feature.name);
        found.push(feature);
    }
    Ok(found)
}

/// A client-streaming call that sends the points of a route to all features, by way of the open
/// sea.
async fn record_route(guide: &RouteGuideClient, features: &[Feature]) -> Result<(), Status> {
    println!("RecordRoute");
    let mut route = guide.record_route().await?;
    route.send(OPEN_SEA).await?;
    for point in features.iter().filter_map(|feature| feature.location) {
        route.send(point).await?;
    }
    // The half-close is sent at once. The summary may be received later.
    route.close();
    let summary = route.recv().await?.into_message();
    println!(
        "  {} points, {} of them features, {} km",
        summary.point_count,
        summary.feature_count,
        summary.distance / 1000
    );
    Ok(())
}

/// A bidirectional call that leaves notes and receives the earlier ones at the same time.
async fn route_chat(guide: &RouteGuideClient) -> Result<(), Status> {
    println!("RouteChat");
    let (mut notes, mut earlier_notes) = guide.route_chat().await?;
    let leave = async {
        for (location, message) in [
            (LIGHTHOUSE, "Dark since Tuesday"),
            (OPEN_SEA, "Nothing here"),
            (LIGHTHOUSE, "Lamp replaced"),
            (LIGHTHOUSE, "Confirmed, it shines"),
        ] {
            println!("  left at {}: {message}", at(location));
            let note = RouteNote {
                location: Some(location),
                message: message.to_owned(),
            };
            notes.send(note).await?;
        }
        // Half-close: the server ends the call when it has responded to all notes.
        notes.close();
        Ok(())
    };
    let take = async {
        while let Some(note) = earlier_notes.recv().await? {
            let location = note.location.unwrap_or_default();
            println!("  found at {}: {}", at(location), note.message);
        }
        Ok(())
    };
    tokio::try_join!(leave, take)?;
    Ok(())
}

/// Returns a point in degrees.
fn at(point: Point) -> String {
    let degrees = |e7: i32| f64::from(e7) / 1e7;
    format!(
        "{:.4}, {:.4}",
        degrees(point.latitude),
        degrees(point.longitude)
    )
}
