//! Every store behaves like `Progress::apply`.

use std::sync::Arc;

use progress_core::MemoryStore;
use progress_core::testing::{Fault, FaultyStore, conformance};

use crate::place::{Place, runtime};
use crate::report::{Finding, Report, quietly};

pub(crate) fn run(report: &mut Report) {
    for place in Place::all() {
        let sequences = if place.name == "memory" { 10_000 } else { report.rounds(1_000, 200) };
        report.check(place.name, || {
            runtime().block_on(async { conformance(place.open().await, sequences).await });
            Finding::new(true, format_args!("0 differences in {sequences} sequences"), "0")
        });
    }
    report.check("control", || {
        let careless = FaultyStore::new(Arc::new(MemoryStore::new()));
        careless.set(Fault::ForgetsStamps);
        let suite = async { tokio::spawn(conformance(Arc::new(careless), 200)).await };
        let task = quietly(|| runtime().block_on(suite));
        Finding::new(task.is_err(), "a store that forgets stamps is detected", "detected")
    });
}
