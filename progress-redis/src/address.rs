//! Where the server is: an address, or several sentinels that know it.

#[cfg(feature = "sentinel")]
use std::sync::Arc;

use progress_core::ProgressError;
use redis::{Client, RedisError};
#[cfg(feature = "sentinel")]
use redis::{
    ConnectionAddr, IntoConnectionInfo,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};

pub(crate) enum Address {
    Server(Client),
    #[cfg(feature = "sentinel")]
    Sentinels(Arc<tokio::sync::Mutex<SentinelClient>>),
}

// Not derived, because an address may contain a password.
impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Server(_) => "Server",
            #[cfg(feature = "sentinel")]
            Self::Sentinels(_) => "Sentinels",
        })
    }
}

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self, ProgressError> {
        match url.split_once(':').map(|(scheme, _)| scheme) {
            #[cfg(feature = "sentinel")]
            Some("redis-sentinel") => sentinels(url),
            #[cfg(not(feature = "sentinel"))]
            Some("redis-sentinel") => Err(missing("sentinel")),
            #[cfg(not(feature = "tls"))]
            Some("rediss" | "valkeys") => Err(missing("tls")),
            _ => Client::open(url).map(Self::Server).map_err(|_| malformed()),
        }
    }

    /// Returns the client of the server; sentinels are asked which one that is now.
    pub(crate) async fn client(&self) -> Result<Client, RedisError> {
        match self {
            Self::Server(client) => Ok(client.clone()),
            #[cfg(feature = "sentinel")]
            Self::Sentinels(sentinels) => sentinels.lock().await.async_get_client().await,
        }
    }
}

/// The text of the error does not repeat the address, which may contain a password.
fn malformed() -> ProgressError {
    ProgressError::setup(
        "a Redis address is redis://user:password@host:6379/0, the same with rediss: or valkey:, \
         redis+unix:///path/to/socket, or \
         redis-sentinel://user:password@host1:26379,host2:26379/0#name-of-the-master",
    )
}

#[cfg(not(all(feature = "sentinel", feature = "tls")))]
fn missing(feature: &str) -> ProgressError {
    ProgressError::setup(format!(
        "this program was built without support for that address: enable the feature {feature} of \
         progress-redis"
    ))
}

/// Reads an address in the form that the client Lettuce uses: user and password are those of the
/// server, and the part after `#` is the name of the master.
#[cfg(feature = "sentinel")]
fn sentinels(url: &str) -> Result<Address, ProgressError> {
    let rest = url.strip_prefix("redis-sentinel://").ok_or_else(malformed)?;
    let (rest, master) = rest.split_once('#').ok_or_else(malformed)?;
    let (login, rest) = rest.rsplit_once('@').map_or(("", rest), |(login, rest)| (login, rest));
    let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
    let addresses: Vec<ConnectionAddr> = hosts
        .split(',')
        .map(|host| {
            // The client reads the port, or an address in square brackets.
            let url = format!("redis://{host}");
            let info = url.into_connection_info().map_err(|_| malformed())?;
            Ok(match info.addr() {
                ConnectionAddr::Tcp(name, 6379) if !host.ends_with(":6379") => {
                    ConnectionAddr::Tcp(name.clone(), 26_379)
                }
                other => other.clone(),
            })
        })
        .collect::<Result<_, ProgressError>>()?;
    // The client decodes user and password.
    let server =
        format!("redis://{login}{}host/{database}", if login.is_empty() { "" } else { "@" });
    let server = server.into_connection_info().map_err(|_| malformed())?;
    let settings = server.redis_settings();
    let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)
        .map_err(|_| malformed())?
        .set_client_to_redis_db(settings.db());
    if let Some(user) = settings.username() {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = settings.password() {
        builder = builder.set_client_to_redis_password(password);
    }
    let client = builder.build().map_err(|_| malformed())?;
    Ok(Address::Sentinels(Arc::new(tokio::sync::Mutex::new(client))))
}
