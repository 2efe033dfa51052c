//! Refuses requests that name a foreign host.
//!
//! A page of another site can point its own name at 127.0.0.1 (DNS rebinding). To the browser, its
//! requests to this program are then same-origin, so that neither `SameSite` cookies nor
//! `Sec-Fetch-Site` reveal them. Their `Host` header does: it has the name of the other site.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::Response;

use crate::language::Language;
use crate::problem::problem;

/// The hosts for which a server answers: `localhost`, loopback addresses, the address on which it
/// listens, and the names that it was given.
#[derive(Debug, Clone)]
pub struct Hosts {
    listening: IpAddr,
    names: Vec<String>,
}

impl Hosts {
    /// The hosts of a server that was told to listen on `listen`, such as `127.0.0.1:3000`, and
    /// listens on `address`, with further names.
    #[must_use]
    pub fn new(listen: &str, address: SocketAddr, names: &[String]) -> Self {
        let told = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
        let names = names.iter().cloned().chain([told.to_owned()]).collect();
        Self { listening: address.ip(), names }
    }

    /// Makes routes answer 421 to a request for any other host.
    pub fn guard(self, app: Router) -> Router {
        let hosts = Arc::new(self);
        app.layer(from_fn(move |request: Request, next: Next| {
            let hosts = Arc::clone(&hosts);
            async move {
                match hosts.refuse(request.uri(), request.headers()) {
                    Some(refusal) => refusal,
                    None => next.run(request).await,
                }
            }
        }))
    }

    fn refuse(&self, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
        // An absolute request target takes precedence over the header (RFC 9112, section 3.2.2).
        let host = uri.host().map(str::to_owned).or_else(|| host_of(headers));
        let host = host.unwrap_or_default();
        if self.includes(&host) {
            return None;
        }
        let detail = Language::of(headers).unknown_host(&host);
        Some(problem(StatusCode::MISDIRECTED_REQUEST, &detail))
    }

    fn includes(&self, host: &str) -> bool {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match address {
            // An address cannot be rebound. The unspecified one stands for all of the machine.
            Ok(address) => {
                let address = address.to_canonical();
                address.is_loopback()
                    || address == self.listening
                    || self.listening.is_unspecified()
            }
            Err(_) => {
                let name = host.trim_end_matches('.');
                let is = |known: &str| !name.is_empty() && name.eq_ignore_ascii_case(known);
                is("localhost") || self.names.iter().any(|known| is(known))
            }
        }
    }
}

/// Returns the host of the only `Host` header, without its port.
fn host_of(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(HOST).iter();
    let authority: Authority = values.next()?.to_str().ok()?.parse().ok()?;
    values.next().is_none().then(|| authority.host().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(hosts: &Hosts, uri: &'static str, host: &[&'static str]) -> u16 {
        let mut headers = HeaderMap::new();
        for host in host {
            headers.append(HOST, host.parse().unwrap());
        }
        let refusal = hosts.refuse(&Uri::from_static(uri), &headers);
        refusal.map_or(200, |refusal| refusal.status().as_u16())
    }

    #[test]
    fn only_known_hosts_are_answered() {
        let names = ["app.example".to_owned(), String::new()];
        let loopback = Hosts::new("127.0.0.1:3000", ([127, 0, 0, 1], 3000).into(), &names);
        let office = Hosts::new("office:3000", ([192, 0, 2, 7], 3000).into(), &[]);
        let everywhere = Hosts::new("0.0.0.0:3000", ([0, 0, 0, 0], 3000).into(), &[]);
        for (hosts, host, expected) in [
            (&loopback, "127.0.0.1:3000", 200),
            (&loopback, "127.0.0.1", 200),
            (&loopback, "127.8.8.8:1", 200),
            (&loopback, "[::1]:3000", 200),
            (&loopback, "[::ffff:127.0.0.1]", 200),
            (&loopback, "localhost:3000", 200),
            (&loopback, "LocalHost.", 200),
            (&loopback, "APP.example:8443", 200),
            (&loopback, "evil.example:3000", 421),
            (&loopback, "app.example.evil.example", 421),
            (&loopback, "localhost.evil.example", 421),
            (&loopback, "127.0.0.1.evil.example", 421),
            (&loopback, "192.0.2.7:3000", 421),
            (&loopback, "", 421),
            (&office, "192.0.2.7:3000", 200),
            (&office, "office:3000", 200),
            (&office, "192.0.2.8:3000", 421),
            (&everywhere, "192.0.2.8:3000", 200),
            (&everywhere, "[2001:db8::1]", 200),
            (&everywhere, "evil.example", 421),
        ] {
            assert_eq!(status(hosts, "/", &[host]), expected, "{host}");
        }
        assert_eq!(status(&loopback, "/", &[]), 421);
        assert_eq!(status(&loopback, "/", &["localhost", "evil.example"]), 421);
        assert_eq!(status(&loopback, "http://evil.example/", &["localhost"]), 421);
        assert_eq!(status(&loopback, "http://localhost/", &["evil.example"]), 200);
    }
}
