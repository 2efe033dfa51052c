//! Encrypted connections.

use std::error::Error;

use progress_core::testing;

use super::{on_every_database, silence};
use crate::database::{Database, Kind};

on_every_database!(@on postgres, Postgres,
    it_conforms,
    it_heals,
    strangers_and_the_open_are_refused
);
on_every_database!(@on mysql, MySql,
    it_conforms,
    it_heals,
    strangers_and_the_open_are_refused
);

/// What a client demands of a connection.
#[derive(Clone, Copy)]
enum Demand {
    /// Encryption, and a certificate from the authority that the client names.
    Trust,
    /// Encryption, and a certificate from a public authority, which the server does not have.
    StrangersTrust,
    /// No encryption.
    Openness,
}

/// Returns the address for a user that the server accepts only over encrypted connections.
fn address(kind: Kind, url: &str, demand: Demand) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (_, server) = rest.split_once('@').unwrap();
    let (variable, modes, authority) = match kind {
        Kind::Postgres => (
            "PROGRESS_TEST_POSTGRES_AUTHORITY",
            ["sslmode=verify-full", "sslmode=disable"],
            "sslrootcert",
        ),
        _ => (
            "PROGRESS_TEST_MYSQL_AUTHORITY",
            ["ssl-mode=VERIFY_IDENTITY", "ssl-mode=DISABLED"],
            "ssl-ca",
        ),
    };
    let [verified, open] = modes;
    let demand = match demand {
        Demand::Trust => format!("{verified}&{authority}={}", std::env::var(variable).unwrap()),
        Demand::StrangersTrust => verified.to_owned(),
        Demand::Openness => open.to_owned(),
    };
    format!("{scheme}://encrypted:canary@{server}?{demand}")
}

async fn it_conforms(database: Database) {
    let url = address(database.kind(), database.url(), Demand::Trust);
    testing::conformance(progress_sqlx::connect_any(&url).await.unwrap(), 100).await;
}

async fn it_heals(database: Database) {
    silence::connections_are_replaced(&database, |url| {
        address(database.kind(), url, Demand::Trust)
    })
    .await;
}

async fn strangers_and_the_open_are_refused(database: Database) {
    for demand in [Demand::StrangersTrust, Demand::Openness] {
        let url = address(database.kind(), database.url(), demand);
        let error = progress_sqlx::connect_any(&url).await.unwrap_err();
        let mut causes = Vec::new();
        let mut next: Option<&dyn Error> = Some(&error);
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        let causes = causes.join(": ");
        println!("{causes}");
        match demand {
            // Transient: the certificate may be renewed, and the worker keeps its counts until
            // then.
            Demand::StrangersTrust => {
                assert!(error.is_transient() && causes.contains("certificate"), "{causes}");
            }
            _ => assert!(!error.is_transient(), "{causes}"),
        }
        assert!(!format!("{causes} {error:?}").contains("canary"), "{error:?}");
    }
}
