//! The service.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rgrpc::{RecvStream, Request, Response, SendStream, Status};

use crate::{Feature, Point, Rectangle, RouteGuide, RouteNote, RouteSummary};

/// A guide with the features and the notes. All calls share it.
pub(crate) struct Guide {
    features: Vec<Feature>,
    notes: Mutex<HashMap<Point, Vec<RouteNote>>>,
}

impl Guide {
    /// Creates a guide to these features, without notes.
    pub(crate) fn new(features: Vec<Feature>) -> Self {
        Self {
            features,
            notes: Mutex::default(),
        }
    }

    fn feature_at(&self, point: Point) -> Option<&Feature> {
        self.features.iter().find(|f| f.location == Some(point))
    }

    /// Adds a note. Returns the earlier notes at its point.
    fn leave(&self, at: Point, note: RouteNote) -> Vec<RouteNote> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let here = notes.entry(at).or_default();
        let earlier = here.clone();
        here.push(note);
        earlier
    }
}

impl RouteGuide for Guide {
    async fn get_feature(&self, request: Request<Point>) -> Result<Response<Feature>, Status> {
        let point = request.into_message();
        let nothing = || Feature {
            name: String::new(),
            location: Some(point),
        };
        let feature = self.feature_at(point).cloned();
        Ok(Response::new(feature.unwrap_or_else(nothing)))
    }

    async fn list_features(
        &self,
        request: Request<Rectangle>,
        mut features: SendStream<Feature>,
    ) -> Result<(), Status> {
        let (Some(lo), Some(hi)) = (request.message().lo, request.message().hi) else {
            return Err(Status::invalid_argument("a rectangle has two corners"));
        };
        for feature in &self.features {
            if feature.location.is_some_and(|at| is_between(at, lo, hi)) {
                // `send` waits while the client does not read.
                features.send(feature).await?;
            }
        }
        Ok(())
    }

    async fn record_route(
        &self,
        request: Request<RecvStream<Point>>,
    ) -> Result<Response<RouteSummary>, Status> {
        let mut points = request.into_message();
        let start = Instant::now();
        let mut summary = RouteSummary::default();
        let mut metres = 0.0;
        let mut last = None;
        while let Some(point) = points.recv().await? {
            summary.point_count += 1;
            summary.feature_count += i32::from(self.feature_at(point).is_some());
            metres += last.map_or(0.0, |last| distance(last, point));
            last = Some(point);
        }
        summary.distance = metres as i32;
        summary.elapsed_time = start.elapsed().as_secs() as i32;
        Ok(Response::new(summary))
    }

    async fn route_chat(
        &self,
        request: Request<RecvStream<RouteNote>>,
        mut earlier_notes: SendStream<RouteNote>,
    ) -> Result<(), Status> {
        let mut notes = request.into_message();
        while let Some(note) = notes.recv().await? {
            let Some(at) = note.location else {
                return Err(Status::invalid_argument("a note lies somewhere"));
            };
            for earlier in self.leave(at, note) {
                earlier_notes.send(earlier).await?;
            }
        }
        Ok(())
    }
}

/// Returns whether a point lies in the rectangle of two opposite corners, in any order.
fn is_between(point: Point, a: Point, b: Point) -> bool {
    let within = |value: i32, a: i32, b: i32| (a.min(b)..=a.max(b)).contains(&value);
    within(point.latitude, a.latitude, b.latitude)
        && within(point.longitude, a.longitude, b.longitude)
}

/// Returns the distance between two points in metres, by the haversine formula.
fn distance(from: Point, to: Point) -> f64 {
    const EARTH_RADIUS: f64 = 6_371_000.0;
    let radians = |e7: i32| (f64::from(e7) / 1e7).to_radians();
    let (from_latitude, to_latitude) = (radians(from.latitude), radians(to.latitude));
    let across = ((to_latitude - from_latitude) / 2.0).sin().powi(2);
    let along = ((radians(to.longitude) - radians(from.longitude)) / 2.0)
        .sin()
        .powi(2);
    let a = across + from_latitude.cos() * to_latitude.cos() * along;
    2.0 * EARTH_RADIUS * a.sqrt().asin()
}
