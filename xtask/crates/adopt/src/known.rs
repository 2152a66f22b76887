//! What is known of widely used images without asking anybody: where they listen, and what they speak.

/// Where the image listens, by the last part of its name.
const PORTS: [(&str, u16); 33] = [
    ("adminer", 8080),
    ("cassandra", 9042),
    ("clickhouse-server", 8123),
    ("couchdb", 5984),
    ("elasticsearch", 9200),
    ("eclipse-mosquitto", 1883),
    ("etcd", 2379),
    ("grafana", 3000),
    ("haproxy", 80),
    ("httpd", 80),
    ("influxdb", 8086),
    ("kafka", 9092),
    ("kibana", 5601),
    ("mailhog", 8025),
    ("mariadb", 3306),
    ("memcached", 11211),
    ("minio", 9000),
    ("mongo", 27017),
    ("mysql", 3306),
    ("nats", 4222),
    ("nginx", 80),
    ("pgadmin4", 80),
    ("phpmyadmin", 80),
    ("postgis", 5432),
    ("postgres", 5432),
    ("prometheus", 9090),
    ("rabbitmq", 5672),
    ("redis", 6379),
    ("redis-stack", 6379),
    ("redismod", 6379),
    ("traefik", 80),
    ("valkey", 6379),
    ("zookeeper", 2181),
];

/// Ports of which everybody knows that no HTTP is spoken there.
const OTHERS: [u16; 23] = [
    21, 22, 25, 53, 110, 143, 389, 465, 587, 636, 993, 1433, 1521, 1883, 2181, 3306, 4222, 5432, 5672, 6379, 9042,
    9092, 11211,
];
const MORE_OTHERS: [u16; 2] = [27017, 25565];

/// Images whose programs want to own the folder that they store things in, which the root of a volume never is: the
/// folder, and the variable that names another one.
const OWNED: [(&str, &str, &str); 2] =
    [("postgres", "/var/lib/postgresql/data", "PGDATA"), ("postgis", "/var/lib/postgresql/data", "PGDATA")];

/// Images that do not run without a password, and the variable that gives it.
const PASSWORDS: [(&str, &str); 4] = [
    ("mariadb", "MARIADB_ROOT_PASSWORD"),
    ("mysql", "MYSQL_ROOT_PASSWORD"),
    ("postgis", "POSTGRES_PASSWORD"),
    ("postgres", "POSTGRES_PASSWORD"),
];

/// Images whose programs take gigabytes to begin with.
const LARGE: [&str; 10] =
    ["cassandra", "elasticsearch", "kafka", "keycloak", "kibana", "logstash", "neo4j", "opensearch", "server", "solr"];

/// Users by the names that images commonly give them.
const USERS: [(&str, u32); 3] = [("nobody", 65534), ("node", 1000), ("nonroot", 65532)];

pub(crate) fn port(repository: &str) -> Option<u16> {
    let last = repository.rsplit('/').next()?;
    PORTS.iter().find(|(name, _)| *name == last).map(|(_, port)| *port)
}

/// The variables without which an image does not run, with `password` where one is wanted.
pub(crate) fn variables(repository: &str, password: &str) -> Vec<(&'static str, String)> {
    let last = repository.rsplit('/').next().unwrap_or_default();
    let wanted = PASSWORDS.iter().filter(|(name, _)| *name == last);
    wanted.map(|(_, variable)| (*variable, password.to_owned())).collect()
}

/// Whether an image makes files before it serves, with a server of its own that only it reaches.
pub(crate) fn stores(repository: &str) -> bool {
    !variables(repository, "").is_empty()
}

/// The variable that has an image store things below the volume at `folder`, and what it is then.
pub(crate) fn below_volume(repository: &str, folder: &str) -> Option<(&'static str, String)> {
    let last = repository.rsplit('/').next()?;
    let (.., variable) = OWNED.iter().find(|(name, at, _)| *name == last && *at == folder)?;
    Some((variable, format!("{folder}/{}", variable.to_lowercase())))
}

/// What it may use of memory where nobody says so.
pub(crate) fn memory(repository: &str) -> &'static str {
    if repository.rsplit('/').next().is_some_and(|last| LARGE.contains(&last)) { "2Gi" } else { "512Mi" }
}

/// Whether a browser could have something from there.
pub(crate) fn is_http(port: u16) -> bool {
    !OTHERS.contains(&port) && !MORE_OTHERS.contains(&port)
}

pub(crate) fn user(name: &str) -> Option<u32> {
    USERS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}
