//! The data: `data/route_guide.csv`, with one feature in each line.

use std::error::Error;

use crate::{Feature, Point};

const DATA: &str = include_str!("../../../data/route_guide.csv");

/// Reads the features.
pub(crate) fn load() -> Result<Vec<Feature>, Box<dyn Error>> {
    let lines = DATA.lines().filter(|line| !line.starts_with('#'));
    lines.map(feature).collect()
}

/// Parses a line: `name,latitude,longitude`. A name may contain commas.
fn feature(line: &str) -> Result<Feature, Box<dyn Error>> {
    let mut fields = line.rsplitn(3, ',');
    let (Some(longitude), Some(latitude), Some(name)) =
        (fields.next(), fields.next(), fields.next())
    else {
        return Err(format!("name,latitude,longitude is expected: {line:?}").into());
    };
    Ok(Feature {
        name: name.to_owned(),
        location: Some(Point {
            latitude: latitude.parse()?,
            longitude: longitude.parse()?,
        }),
    })
}
