//! The one connection setting.

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc};

use metrifold_tls::TlsFiles;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::RedisError;

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// The forms of an address, for errors and manuals.
pub const ADDRESS_FORMS: &str = "redis://[[user]:password@]host[:port][/database], redis+unix://[[user]:password@]/path[?db=n], \
     redis-sentinel://[[user]:password@]host[:port],…/master-name[/database], \
     redis-cluster://[[user]:password@]host[:port],…; rediss… in place of redis… for TLS";

/// Where a Redis is and how to sign in, written as one URL:
///
/// - `redis://[[user]:password@]host[:port][/database]`: one server; port 6379, database 0.
/// - `redis+unix://[[user]:password@]/path/of/redis.sock[?db=n]`: one server by its unix socket.
/// - `redis-sentinel://[[user]:password@]host[:port],…/master-name[/database]`: the master that these sentinels (port
///   26379) name. User and password are those of the master; `?sentinel_user=…&sentinel_password=…` those of the
///   sentinels.
/// - `redis-cluster://[[user]:password@]host[:port],…`: a Cluster of which these nodes are known; the others are found.
/// - `rediss://`, `rediss-sentinel://`, `rediss-cluster://`: the same over TLS. `?ca=/file.pem` names the only
///   authorities to trust (default: those of the system), `&cert=/file.pem&key=/file.pem` the client's certificate.
///
/// Reserved characters in user, password and values are percent-encoded. Neither `Display` nor `Debug` shows a password.
///
/// ```
/// use metrifold_redis::RedisAddress;
///
/// let address: RedisAddress = "rediss://app:s3cret@cache:6380/2?ca=/etc/ca.pem".parse()?;
/// assert_eq!(address.to_string(), "rediss://app:***@cache:6380/2?ca=/etc/ca.pem");
/// assert_eq!(address.reveal(), "rediss://app:s3cret@cache:6380/2?ca=/etc/ca.pem");
/// # Ok::<(), metrifold_redis::RedisError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RedisAddress {
    pub(crate) parts: Arc<Parts>,
}

#[derive(PartialEq, Eq)]
pub(crate) struct Parts {
    /// As given, with the passwords.
    text: String,
    /// As given, without.
    shown: String,
    pub(crate) topology: Topology,
    pub(crate) login: Login,
    pub(crate) database: u8,
    pub(crate) tls: Option<TlsFiles>,
}

/// One Redis or sentinel process's endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Endpoint {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Endpoint::Tcp { host, port } => write!(f, "{host}:{port}"),
            Endpoint::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// How the processes are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Topology {
    Server(Endpoint),
    Sentinel { sentinels: Vec<Endpoint>, master: String, login: Login },
    Cluster { seeds: Vec<Endpoint> },
}

#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

impl RedisAddress {
    /// The address of one server, from the parts that the `REDIS_*` variables give; with TLS (`REDIS_SSL`) it is checked
    /// against the authorities that the system trusts.
    ///
    /// # Errors
    /// Names the part that cannot be used.
    pub fn from_parts(
        host: &str,
        port: &str,
        database: &str,
        password: &str,
        is_tls: bool,
    ) -> Result<Self, RedisError> {
        let number = |name: &str, text: &str| {
            text.parse::<u16>().map_err(|_| RedisError::Invalid(format!("{name} {text:?} is no number")))
        };
        let (port, database) = (number("port", port)?, number("database", database)?);
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let login = match password {
            "" => String::new(),
            _ => {
                let all = percent_encoding::NON_ALPHANUMERIC;
                format!(":{}@", percent_encoding::utf8_percent_encode(password, all))
            }
        };
        let scheme = if is_tls { "rediss" } else { "redis" };
        format!("{scheme}://{login}{host}:{port}/{database}").parse()
    }

    /// The address with its passwords, to hand it to another process. Not for logs.
    pub fn reveal(&self) -> &str {
        &self.parts.text
    }

    /// Whether keys are spread over several servers.
    pub fn is_cluster(&self) -> bool {
        matches!(self.parts.topology, Topology::Cluster { .. })
    }
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parts.shown)
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisAddress({self})")
    }
}

impl FromStr for RedisAddress {
    type Err = RedisError;

    /// Never repeats the text in an error: it may hold a password.
    fn from_str(text: &str) -> Result<Self, RedisError> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| invalid("the address has no scheme"))?;
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if tail.contains('@') {
            // Not repeated, because a password reaches into it.
            return Err(invalid("a user or password has a reserved character; percent-encode it"));
        }
        let (login, hosts) =
            authority.rsplit_once('@').map_or((None, authority), |(login, hosts)| (Some(login), hosts));
        // `url` knows one host per URL; the others get one each.
        let (first, others) =
            hosts.split_once(',').map_or((hosts, None), |(first, others)| (first, Some(others)));
        let at = login.map(|login| format!("{login}@")).unwrap_or_default();
        let host = if first.is_empty() && scheme.contains("unix") { "localhost" } else { first };
        let url = Url::parse(&format!("redis://{at}{host}{tail}"))
            .map_err(|cause| invalid(&format!("the address cannot be read ({cause})")))?;
        if url.fragment().is_some() {
            return Err(invalid("an address has no #; percent-encode it as %23"));
        }
        let mut options = Options::read(&url)?;
        let (family, is_tls) =
            family(scheme).ok_or_else(|| invalid("the address has a scheme that is not known"))?;
        let mut path = Path::read(&url);
        let (topology, database) = topology(family, &url, others, &mut path, &mut options)?;
        let tls = is_tls.then(|| options.tls());
        path.end()?;
        options.end()?;
        if let Some(tls) = &tls {
            tls.check().map_err(|error| RedisError::Invalid(error.to_string()))?;
        }
        let login = Login {
            user: Some(decoded(url.username())).filter(|user| !user.is_empty()),
            password: url.password().map(decoded),
        };
        let parts = Parts {
            text: text.to_owned(),
            shown: shown(scheme, login.user.as_deref(), url.password().is_some(), hosts, tail),
            topology,
            login,
            database,
            tls,
        };
        Ok(RedisAddress { parts: Arc::new(parts) })
    }
}

fn invalid(what: &str) -> RedisError {
    RedisError::Invalid(format!("{what}; use {ADDRESS_FORMS}"))
}

/// Which processes there are, and the database among them.
fn topology(
    family: Family,
    url: &Url,
    others: Option<&str>,
    path: &mut Path,
    options: &mut Options,
) -> Result<(Topology, u8), RedisError> {
    let endpoints = |port| endpoints(url, others, port);
    match family {
        Family::Server if others.is_some() => Err(invalid("one server has one host")),
        Family::Server => Ok((Topology::Server(endpoints(PORT)?.remove(0)), path.database()?)),
        Family::Unix => {
            let socket = PathBuf::from(format!("/{}", path.by_ref().collect::<Vec<_>>().join("/")));
            Ok((Topology::Server(Endpoint::Unix(socket)), options.database()?))
        }
        Family::Sentinel => {
            let master = path.next().ok_or_else(|| invalid("the address of sentinels names no master"))?;
            let login =
                Login { user: options.take("sentinel_user"), password: options.take("sentinel_password") };
            let sentinels = endpoints(SENTINEL_PORT)?;
            Ok((Topology::Sentinel { sentinels, master, login }, path.database()?))
        }
        Family::Cluster => match path.database()? {
            0 => Ok((Topology::Cluster { seeds: endpoints(PORT)? }, 0)),
            _ => Err(invalid("a Cluster has only database 0")),
        },
    }
}

enum Family {
    Server,
    Unix,
    Sentinel,
    Cluster,
}

fn family(scheme: &str) -> Option<(Family, bool)> {
    Some(match scheme {
        "redis" => (Family::Server, false),
        "rediss" => (Family::Server, true),
        "redis+unix" | "unix" => (Family::Unix, false),
        "redis-sentinel" => (Family::Sentinel, false),
        "rediss-sentinel" => (Family::Sentinel, true),
        "redis-cluster" => (Family::Cluster, false),
        "rediss-cluster" => (Family::Cluster, true),
        _ => return None,
    })
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn endpoints(url: &Url, others: Option<&str>, port: u16) -> Result<Vec<Endpoint>, RedisError> {
    let mut endpoints = vec![endpoint(url, port)?];
    for host in others.into_iter().flat_map(|others| others.split(',')) {
        let url = Url::parse(&format!("redis://{host}"))
            .map_err(|cause| RedisError::Invalid(format!("the host {host:?} cannot be read ({cause})")))?;
        endpoints.push(endpoint(&url, port)?);
    }
    Ok(endpoints)
}

fn endpoint(url: &Url, port: u16) -> Result<Endpoint, RedisError> {
    let host = url.host_str().filter(|host| !host.is_empty());
    let host =
        host.ok_or_else(|| RedisError::Invalid(format!("the address names no host; use {ADDRESS_FORMS}")))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok(Endpoint::Tcp { host: decoded(host), port: url.port().unwrap_or(port) })
}

/// Without passwords, also without those among the options.
fn shown(scheme: &str, user: Option<&str>, has_password: bool, hosts: &str, tail: &str) -> String {
    let login = match (user, has_password) {
        (None, false) => String::new(),
        (user, true) => format!("{}:***@", user.unwrap_or_default()),
        (Some(user), false) => format!("{user}@"),
    };
    let (path, query) = tail.split_once('?').map_or((tail, None), |(path, query)| (path, Some(query)));
    let hidden = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if name.contains("password") => format!("{name}=***"),
        _ => pair.to_owned(),
    };
    let query = query.map(|query| format!("?{}", query.split('&').map(hidden).collect::<Vec<_>>().join("&")));
    format!("{scheme}://{login}{hosts}{path}{}", query.unwrap_or_default())
}

/// The segments of a URL's path, in order.
struct Path {
    rest: std::vec::IntoIter<String>,
}

impl Iterator for Path {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.rest.next()
    }
}

impl Path {
    fn read(url: &Url) -> Self {
        let segments = url.path().split('/').filter(|segment| !segment.is_empty());
        Path { rest: segments.map(decoded).collect::<Vec<_>>().into_iter() }
    }

    fn database(&mut self) -> Result<u8, RedisError> {
        self.next().map_or(Ok(0), |text| database(&text))
    }

    fn end(mut self) -> Result<(), RedisError> {
        match self.next() {
            Some(segment) => {
                Err(RedisError::Invalid(format!("{segment:?} does not belong into the address")))
            }
            None => Ok(()),
        }
    }
}

fn database(text: &str) -> Result<u8, RedisError> {
    text.parse().map_err(|_| RedisError::Invalid(format!("the database {text:?} is no number from 0 to 255")))
}

/// The options after `?`.
struct Options {
    pairs: Vec<(String, String)>,
}

impl Options {
    const ALL: [&str; 6] = ["ca", "cert", "key", "db", "sentinel_user", "sentinel_password"];

    fn read(url: &Url) -> Result<Self, RedisError> {
        let pairs: Vec<(String, String)> =
            url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        match pairs.iter().find(|(name, _)| !Self::ALL.contains(&name.as_str())) {
            Some((name, _)) => Err(RedisError::Invalid(format!(
                "the address has no option {name:?}; there are {}",
                Self::ALL.join(", ")
            ))),
            None => Ok(Options { pairs }),
        }
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let place = self.pairs.iter().position(|(known, _)| known == name)?;
        Some(self.pairs.remove(place).1)
    }

    fn tls(&mut self) -> TlsFiles {
        let mut file = |name| self.take(name).map(PathBuf::from);
        TlsFiles { ca: file("ca"), cert: file("cert"), key: file("key") }
    }

    fn database(&mut self) -> Result<u8, RedisError> {
        self.take("db").map_or(Ok(0), |text| database(&text))
    }

    /// What nobody took does not belong to this kind of address.
    fn end(self) -> Result<(), RedisError> {
        match self.pairs.first() {
            Some((name, _)) => Err(RedisError::Invalid(format!(
                "the option {name:?} does not belong to this kind of address; use {ADDRESS_FORMS}"
            ))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> RedisAddress {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn tcp(host: &str, port: u16) -> Endpoint {
        Endpoint::Tcp { host: host.into(), port }
    }

    #[test]
    fn one_server_has_defaults_for_all_but_its_host() {
        let address = read("redis://cache");
        assert_eq!(address.parts.topology, Topology::Server(tcp("cache", 6379)));
        assert_eq!(
            (address.parts.database, &address.parts.login, &address.parts.tls),
            (0, &Login::default(), &None)
        );
        let address = read("redis://app:p%40ss@[::1]:7000/15");
        assert_eq!(address.parts.topology, Topology::Server(tcp("::1", 7000)));
        assert_eq!(address.parts.login.user.as_deref(), Some("app"));
        assert_eq!(address.parts.login.password.as_deref(), Some("p@ss"));
        assert_eq!(address.parts.database, 15);
    }

    #[test]
    fn a_socket_has_a_path_of_any_depth_and_its_database_among_the_options() {
        let address = read("redis+unix://:secret@/run/redis/my%20sock?db=3");
        assert_eq!(address.parts.topology, Topology::Server(Endpoint::Unix("/run/redis/my sock".into())));
        assert_eq!((address.parts.database, address.parts.login.password.as_deref()), (3, Some("secret")));
        assert_eq!(address.to_string(), "redis+unix://:***@/run/redis/my%20sock?db=3");
    }

    #[test]
    fn sentinels_and_nodes_are_lists_with_a_default_port_each() {
        let address =
            read("redis-sentinel://:pw@a,b:5,[::2]/main/4?sentinel_user=watch&sentinel_password=eyes");
        let Topology::Sentinel { sentinels, master, login } = &address.parts.topology else {
            panic!("{address}")
        };
        assert_eq!(sentinels, &[tcp("a", 26379), tcp("b", 5), tcp("::2", 26379)]);
        assert_eq!((master.as_str(), address.parts.database), ("main", 4));
        assert_eq!(login.password.as_deref(), Some("eyes"));
        let address = read("redis-cluster://a:1,b,c:3");
        assert_eq!(
            address.parts.topology,
            Topology::Cluster { seeds: vec![tcp("a", 1), tcp("b", 6379), tcp("c", 3)] }
        );
        assert!(address.is_cluster());
    }

    #[test]
    fn tls_takes_its_files_from_the_options() {
        let address = read("rediss://cache?ca=/ca.pem&cert=/own.pem&key=/own.key");
        let tls = address.parts.tls.clone().expect("rediss");
        assert_eq!(tls.ca, Some("/ca.pem".into()));
        assert_eq!((tls.cert, tls.key), (Some("/own.pem".into()), Some("/own.key".into())));
        assert!(
            read("rediss-cluster://a").parts.tls.is_some()
                && read("rediss-sentinel://a/main").parts.tls.is_some()
        );
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, part) in [
            ("cache:6379", "no scheme"),
            ("http://cache", "scheme that is not known"),
            ("redis://", "names no host"),
            ("redis://a,b", "one host"),
            ("redis://cache:port", "port"),
            ("redis://cache/256", "0 to 255"),
            ("redis://cache/0/more", "\"more\""),
            ("redis://cache?ca=/x", "does not belong to this kind"),
            ("redis://cache?what=1", "\"what\""),
            ("redis://cache#2", "%23"),
            ("rediss://cache?cert=/x", "together"),
            ("redis-sentinel://a,b", "names no master"),
            ("redis-cluster://a/1", "only database 0"),
        ] {
            let error = text.parse::<RedisAddress>().expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn no_text_shows_a_password() {
        let address = read("redis-sentinel://u:hunter2@a/main?sentinel_password=hunter2");
        let texts = [address.to_string(), format!("{address:?}"), format!("{:?}", address.parts.topology)];
        let wrong =
            ["http://:hunter2@a", "redis://:hunter2@a/x", "redis://:hun/hunter2@a", "redis://a:b:hunter2@"];
        let errors = wrong.map(|text| text.parse::<RedisAddress>().expect_err(text).to_string());
        for text in texts.iter().chain(&errors) {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn the_parts_of_the_redis_variables_make_an_address_whatever_the_password() {
        let address = RedisAddress::from_parts("::1", "6379", "0", "p@ss/w:rd#%", false).expect("good parts");
        assert_eq!(address.parts.topology, Topology::Server(tcp("::1", 6379)));
        assert_eq!(address.parts.login.password.as_deref(), Some("p@ss/w:rd#%"));
        assert!(
            RedisAddress::from_parts("h", "x", "0", "", false)
                .expect_err("no port")
                .to_string()
                .contains("port")
        );
        assert!(RedisAddress::from_parts("h", "1", "300", "", false).is_err());
    }
}
