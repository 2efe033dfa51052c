//! Where the server is: an address, or several sentinels or nodes that know it.

use std::time::Duration;

use progress_core::ProgressError;
use redis::aio::PubSub;
#[cfg(feature = "cluster")]
use redis::cluster::ClusterClient;
#[cfg(feature = "sentinel")]
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{AsyncConnectionConfig, Client, Pipeline, RedisError, RedisResult, Value};
#[cfg(feature = "sentinel")]
use redis::{ConnectionAddr, IntoConnectionInfo};

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a node of a cluster may be silent before it is asked again.
#[cfg(feature = "cluster")]
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) enum Address {
    Server(Client),
    #[cfg(feature = "sentinel")]
    Sentinels(tokio::sync::Mutex<SentinelClient>),
    #[cfg(feature = "cluster")]
    Cluster {
        client: Box<ClusterClient>,
        nodes: Vec<String>,
    },
}

/// An open connection. It takes further commands while it waits for answers.
pub(crate) enum Connection {
    Server(redis::aio::MultiplexedConnection),
    #[cfg(feature = "cluster")]
    Cluster(redis::cluster_async::ClusterConnection),
}

impl Connection {
    /// Sends commands together and returns their values or errors.
    pub(crate) async fn query(&self, pipeline: &Pipeline) -> RedisResult<Vec<RedisResult<Value>>> {
        match self {
            Self::Server(connection) => pipeline.query_async(&mut connection.clone()).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => pipeline.query_async(&mut connection.clone()).await,
        }
    }

    /// Sends a command, to all nodes of a cluster if it has no key.
    pub(crate) async fn tell(&self, command: &redis::Cmd) -> RedisResult<Value> {
        match self {
            Self::Server(connection) => command.query_async(&mut connection.clone()).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => command.query_async(&mut connection.clone()).await,
        }
    }
}

// Not derived, because an address may contain a password.
impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Address").finish_non_exhaustive()
    }
}

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self, ProgressError> {
        match url.split_once(':').map(|(scheme, _)| scheme) {
            #[cfg(feature = "sentinel")]
            Some("redis-sentinel") => sentinels(url),
            #[cfg(not(feature = "sentinel"))]
            Some("redis-sentinel") => Err(missing("sentinel")),
            #[cfg(feature = "cluster")]
            Some("redis-cluster") => cluster(url),
            #[cfg(not(feature = "cluster"))]
            Some("redis-cluster") => Err(missing("cluster")),
            #[cfg(not(feature = "tls"))]
            Some("rediss" | "valkeys") => Err(missing("tls")),
            #[cfg(feature = "tls")]
            Some("rediss" | "valkeys") => {
                choose_cryptography();
                Client::open(url).map(Self::Server).map_err(|_| malformed())
            }
            _ => Client::open(url).map(Self::Server).map_err(|_| malformed()),
        }
    }

    /// Opens a connection; sentinels are asked which server that is now.
    pub(crate) async fn connect(&self) -> Result<Connection, RedisError> {
        let client = match self {
            Self::Server(client) => client.clone(),
            #[cfg(feature = "sentinel")]
            Self::Sentinels(sentinels) => sentinels.lock().await.async_get_client().await?,
            #[cfg(feature = "cluster")]
            Self::Cluster { client, .. } => {
                return client.get_async_connection().await.map(Connection::Cluster);
            }
        };
        // Calls have deadlines of their own.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None);
        client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::Server)
    }

    /// Opens a connection for subscriptions. In a cluster, each node knows of all messages.
    pub(crate) async fn subscribe(&self, channel: &str) -> Result<PubSub, RedisError> {
        let mut subscription = match self {
            Self::Server(client) => client.get_async_pubsub().await?,
            #[cfg(feature = "sentinel")]
            Self::Sentinels(sentinels) => {
                let client = sentinels.lock().await.async_get_client().await?;
                client.get_async_pubsub().await?
            }
            #[cfg(feature = "cluster")]
            Self::Cluster { nodes, .. } => {
                let mut outcome = Err((redis::ErrorKind::Io, "no node").into());
                for node in nodes {
                    outcome = Client::open(node.as_str())?.get_async_pubsub().await;
                    if outcome.is_ok() {
                        break;
                    }
                }
                outcome?
            }
        };
        subscription.subscribe(channel).await?;
        Ok(subscription)
    }
}

/// Chooses the cryptography of rustls, which panics without one. The application's choice counts, if
/// it has made one before.
#[cfg(feature = "tls")]
fn choose_cryptography() {
    // Another thread may have been faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The text of the error does not repeat the address, which may contain a password.
fn malformed() -> ProgressError {
    ProgressError::setup(
        "a Redis address is redis://user:password@host:6379/0, the same with rediss: or valkey:, \
         redis+unix:///path/to/socket, redis-cluster://user:password@host1:6379,host2:6379, or \
         redis-sentinel://user:password@host1:26379,host2:26379/0#name-of-the-master",
    )
}

#[cfg(not(all(feature = "cluster", feature = "sentinel", feature = "tls")))]
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
    Ok(Address::Sentinels(tokio::sync::Mutex::new(client)))
}

/// Reads the addresses of some nodes, which know the others.
#[cfg(feature = "cluster")]
fn cluster(url: &str) -> Result<Address, ProgressError> {
    let rest = url.strip_prefix("redis-cluster://").ok_or_else(malformed)?;
    let (login, hosts) = rest.rsplit_once('@').map_or(("", rest), |(login, hosts)| (login, hosts));
    let separator = if login.is_empty() { "" } else { "@" };
    let hosts = hosts.trim_end_matches('/').split(',');
    let nodes: Vec<_> = hosts.map(|host| format!("redis://{login}{separator}{host}")).collect();
    let client = ClusterClient::builder(nodes.clone())
        .connection_timeout(CONNECT_TIMEOUT)
        // Calls have deadlines of their own, but a silent node must not hold up its successor.
        .response_timeout(RESPONSE_TIMEOUT)
        .build()
        .map_err(|_| malformed())?;
    Ok(Address::Cluster { client: Box::new(client), nodes })
}
