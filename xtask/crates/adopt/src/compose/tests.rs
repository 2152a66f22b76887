//! Compose text in, the text of a system's file out, loaded by the model.

use super::*;
use crate::render;
use model::image::ImagePins;
use model::system::System;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A repository for one test, removed with it.
struct Root(PathBuf);

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Root {
    fn new(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = Self(std::env::temp_dir().join(format!("xtask-adopt-{}-{number}", std::process::id())));
        root.write("Cargo.toml", "[workspace]\n");
        files.iter().for_each(|(path, text)| root.write(path, text));
        root
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The sketch of `shop/compose.yaml`, where images say nothing of themselves.
    fn sketch(&self, public: &[&str]) -> Sketch {
        let public = public.iter().map(|name| name.parse().unwrap()).collect();
        let images = ImagePins::from([("cache".to_owned(), "docker.io/library/redis:7.4".parse().unwrap())]);
        let repository = Repository { root: &self.0, images: &images, public: &public };
        read(&repository, "shop/compose.yaml", "shop".parse().unwrap(), &|_| None).unwrap()
    }

    /// The text, and what the model makes of it.
    fn file(&self) -> (String, System) {
        let sketch = self.sketch(&[]);
        let text = render(&sketch);
        self.write("deploy/systems/shop.toml", &text);
        let pins: String = sketch.images.iter().map(|(name, pin)| format!("{name} = \"{pin}\"\n")).collect();
        self.write("deploy/images.toml", &format!("cache = \"docker.io/library/redis:7.4\"\n{pins}"));
        let spec = model::load(&self.0).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        (text, spec.systems[0].clone())
    }
}

fn file(compose: &str, others: &[(&str, &str)]) -> (String, System) {
    Root::new(&[&[("shop/compose.yaml", compose)], others].concat()).file()
}

const DOCKERFILE: &str = "FROM python:3.11-slim\nWORKDIR /app\nCOPY . .\nUSER 1000\nCMD [\"python\", \"app.py\"]\n";

#[track_caller]
fn has(text: &str, lines: &[&str]) {
    let flat = text.replace("\n# ", " ");
    for line in lines {
        assert!(text.contains(line) || flat.contains(line), "no `{line}` in\n{text}");
    }
}

#[test]
fn a_service_that_is_built_comes_with_its_ports_variables_and_needs() {
    let compose = r#"
x-env: &env
  MODE: ${MODE:-debug}
services:
  web:
    build:
      context: .
      dockerfile: docker/Dockerfile
      target: final
      args: [REVISION=1]
      secrets: [npm-token]
      ssh: [default]
    command: python app.py --greeting "a $$5 note"
    ports: ["8080:5000", "9000:9000"]
    environment:
      <<: *env
      REDIS_URL: redis://cache:6379
      PORT: 5000
    depends_on:
      cache: { condition: service_started }
    healthcheck:
      test: [CMD, curl, -f, "http://localhost:5000/up"]
      interval: 10s
      retries: 5
    deploy: { resources: { limits: { memory: 128M, cpus: "0.5" } } }
    stop_signal: SIGINT
  cache:
    image: redis:7.4
    restart: always
secrets: { npm-token: { environment: NPM_TOKEN } }
"#;
    let dockerfile = DOCKERFILE.replace("FROM python:3.11-slim", "FROM python:3.11-slim AS final");
    let (text, system) = file(compose, &[("shop/docker/Dockerfile", &dockerfile), ("shop/.env", "MODE=production\n")]);
    let [cache, web] = &system.services[..] else { panic!("{text}") };
    assert_eq!((web.port, web.host_port, web.public), (Some(5000), Some(8080), true));
    assert_eq!((cache.port, cache.public), (Some(6379), false));
    assert_eq!(web.needs, std::slice::from_ref(&cache.name));
    let value = |name: &str| web.env[name].to_string();
    assert_eq!((value("MODE"), value("REDIS_URL")), ("production".into(), "redis://cache:6379".into()));
    let args: Vec<String> = web.args.iter().map(ToString::to_string).collect();
    assert_eq!(args, ["python", "app.py", "--greeting", "a $$5 note"]);
    assert_eq!(web.ready, model::system::Probe::Http { path: "/up".to_owned() });
    assert_eq!((web.ready_within.as_secs(), web.container.memory.to_string().as_str()), (50, "128Mi"));
    assert_eq!((web.container.cpu.to_string().as_str(), web.container.user.unwrap().uid), ("500m", 1000));
    assert_eq!(system.smoke.len(), 1);
    has(
        &text,
        &[
            "main = { port = 5000, host_port = 8080 }\ntcp-9000 = { port = 9000 }\n",
            "ports]\n# Of these only the first is published",
            "stop_within = \"10s\"",
            "name = \"web answers\"\nservice = \"web\"\n",
            "# `stop_signal: SIGINT` is not carried over: services are told to end by SIGTERM",
            "build]\nfile = \"docker/Dockerfile\"\ntarget = \"final\"\nargs = { REVISION = \"1\" }\nsecrets = [\"npm-token\"]",
            "npm-token = { from = \"env\", name = \"NPM_TOKEN\" }",
            "# `build.ssh` is not carried over",
            "image = \"cache\"",
        ],
    );
    assert!(!text.contains("restart"), "{text}");
}

#[test]
fn files_volumes_and_secrets_are_given() {
    let compose = r#"
services:
  proxy:
    image: nginx
    volumes:
      - { type: bind, source: ./proxy/nginx.conf, target: /etc/nginx/conf.d/default.conf, read_only: true }
      - /var/run/docker.sock:/var/run/docker.sock
    tmpfs: /run
    ports: [80:80]
    depends_on: [backend]
  backend:
    build: backend
    volumes: ["./backend:/app", "/app/node_modules"]
    secrets: [db-password]
    configs: [{ source: app, target: /app/app.toml }]
  db:
    image: postgres
    user: postgres
    environment: [POSTGRES_PASSWORD_FILE=/run/secrets/db-password, API_TOKEN, "TOKEN=${OTHER_TOKEN}"]
    volumes: ["db_data:/var/lib/postgresql/data", "./init:/docker-entrypoint-initdb.d:ro"]
    secrets: [db-password]
    expose: [5432]
    healthcheck: { test: [CMD, pg_isready] }
volumes: { db_data: }
secrets: { db-password: { file: db/password.txt } }
configs: { app: { content: "port = 5\n" } }
"#;
    let others = [
        ("shop/proxy/nginx.conf", "location / { proxy_pass http://backend:8000; }"),
        ("shop/backend/Dockerfile", DOCKERFILE),
        ("shop/init/init.sql", "SELECT 1;"),
        ("shop/db/password.txt", "hunter2hunter2"),
        ("shop/.env", "OTHER_TOKEN=abcdefghijkl\n"),
    ];
    let (text, system) = file(compose, &others);
    let service = |name: &str| system.services.iter().find(|service| service.name.as_str() == name).unwrap();
    assert_eq!(service("backend").port, Some(8000));
    assert!(service("proxy").public && service("proxy").container.low_ports && !service("db").public);
    has(
        &text,
        &[
            "# Nothing says where it listens; 8000 is where others look for it.",
            "\"nginx.conf\" = { from = \"shop/proxy/nginx.conf\", at = \"/etc/nginx/conf.d/default.conf\" }",
            "`/var/run/docker.sock` at `/var/run/docker.sock` is of the machine, not of this repository",
            "`./backend` was mounted over `/app` to see edits at once",
            "app = { text = \"port = 5\\n\", at = \"/app/app.toml\" }",
            "volumes = { db-data = \"/var/lib/postgresql/data\" }",
            "init = { from = \"shop/init\", at = \"/docker-entrypoint-initdb.d\" }",
            "db-password = { text = \"${secret.db-password}\", at = \"/run/secrets/db-password\" }",
            "db-password = { from = \"file\", name = \"shop/db-password\" }",
            "API_TOKEN = { from = \"env\", name = \"API_TOKEN\" }",
            "TOKEN = \"${secret.OTHER_TOKEN}\"",
            "health = [\"pg_isready\"]",
            "PGDATA = \"/var/lib/postgresql/data/pgdata\"",
            "the compose file names its user `postgres`, whose number only the image knows",
        ],
    );
    assert!(!text.contains("hunter2") && !text.contains("abcdefghijkl"), "{text}");
    let sketch = Root::new(&[&[("shop/compose.yaml", compose)][..], &others].concat()).sketch(&[]);
    let to: Vec<&str> = sketch.copies.iter().map(|copy| copy.to.as_str()).collect();
    assert_eq!(to, ["shop/db-password", "shop/db-password", "shop/OTHER_TOKEN"]);
    assert_eq!(sketch.images["nginx"].to_string(), "docker.io/library/nginx:latest");
}

#[test]
fn what_is_left_out_is_said() {
    let compose = r#"
include: [other.yaml]
services:
  web:
    image: example/web
    ports: ["8000:8000"]
    depends_on: [worker, debug]
    environment: { discovery.type: single-node, "A=": x, HOME: }
    privileged: true
    networks: { front: { aliases: [shop-web] } }
    container_name: My_Web
  worker: { image: example/worker, command: ["work"] }
  debug: { image: busybox, profiles: [debug] }
  remote: { build: "https://example.com/repo.git" }
  again: { extends: { file: other.yaml, service: x }, image: example/again, ports: ["127.0.0.1:9000:9000"] }
networks: { front: , back: }
"#;
    let (text, system) = file(compose, &[]);
    assert_eq!(
        system.services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>(),
        ["worker", "web", "again"]
    );
    has(
        &text,
        &[
            "# `include` is not followed",
            "# `debug` is left out: compose starts it only when its profile",
            "# `remote` is left out: its build context `https://example.com/repo.git` is no folder",
            "# Its networks are one here",
            "# `again` extends `x`, which is in another file",
            "# It needs `debug`, which is not carried over.",
            "needs = [\"worker\"]",
            "[services.worker]\nimage = \"worker\"\nreplicas = 1\n# Nothing says where it listens, so it is a worker.",
            "\naliases = [\"shop-web\"]",
            "\n\"discovery.type\" = \"single-node\"",
            "# Others cannot find it as `My_Web`",
            "`privileged: true` is not carried over: no container has all of the machine",
            "# `HOME` was that of whoever starts it",
            "service = \"web\"",
        ],
    );
}

#[test]
fn those_that_only_name_each_other_need_each_other() {
    let compose = r#"
services:
  blog:
    image: wordpress
    ports: [80:80, 53:53/udp]
    environment: [WORDPRESS_DB_HOST=db, WORDPRESS_DB_USER=wordpress]
  db: { image: "mariadb:10.6", environment: { MYSQL_USER: blog, PEER_HOST: blog }, expose: [3306, 33060] }
  dashboard:
    image: grafana/grafana
    volumes: ["./grafana:/etc/grafana/provisioning/datasources", "~/kept:/srv/kept", "/etc/hosts:/etc/hosts"]
    deploy: { replicas: 3 }
  metrics: { image: prom/prometheus, container_name: metrics-of-all }
  counter: { build: counter }
  store: { image: "redis:7.4", healthcheck: { test: [CMD, redis-cli, ping] } }
  extra: { image: example/extra, expose: [700], scale: 2 }
"#;
    let others = [
        ("shop/grafana/datasource.yml", "url: http://metrics-of-all:9090\n"),
        ("shop/counter/Dockerfile", DOCKERFILE),
        ("shop/counter/app.py", "import redis\nhits = redis.Redis(host='store', port=6379)\n"),
    ];
    let (text, system) = file(compose, &others);
    let service = |name: &str| system.services.iter().find(|service| service.name.as_str() == name).unwrap();
    let needs = |name: &str| service(name).needs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(
        ["blog", "db", "dashboard", "metrics", "counter"].map(needs),
        ["db", "", "metrics", "", "store"].map(str::to_owned)
    );
    assert_eq!((service("blog").replicas, service("extra").replicas), (Some(1), Some(2)));
    assert_eq!(service("store").ready, model::system::Probe::Command(vec!["redis-cli".into(), "ping".into()]));
    has(
        &text,
        &[
            "# That it needs `db` is said by `WORDPRESS_DB_HOST` alone.",
            "# That it needs `metrics` is said by its arguments or files alone.",
            "# That it needs `store` is said by `app.py` alone.",
            "main = { port = 80 }\nudp-53 = { port = 53, speaks = \"udp\" }",
            "main = { port = 3306 }\ntcp-33060 = { port = 33060 }",
            "# Nobody is known to need it, and in a cluster only those that do reach it: `needs = [\"extra\"]` there.",
            "`~/kept` of the machine held what the service stores at `/srv/kept`; that is a volume here",
            "`/etc/hosts` at `/etc/hosts` is of the machine",
            "volumes = { kept = \"/srv/kept\" }",
            "# There is one of it here, as it stores something.",
        ],
    );
    assert_eq!(text.matches("Nothing limits its memory").count(), 1, "{text}");
}

#[test]
fn what_others_wait_for_to_end_is_a_job() {
    let compose = r#"
services:
  migrate:
    build: app
    command: ["./manage", "migrate", "--note", "$$5"]
    environment: { A: same, B: other }
    depends_on: [db, seed]
  seed: { image: example/seed, command: [seed], depends_on: [db] }
  web:
    build: app
    ports: [8000:8000]
    environment: { A: same }
    depends_on:
      db: { condition: service_healthy }
      migrate: { condition: service_completed_successfully }
      seed: { condition: service_completed_successfully }
    volumes: ["./large:/srv/large:ro"]
    networks: { back: { ipv4_address: 10.0.0.7 } }
  db: { image: "redis:7.4" }
"#;
    let large = "x".repeat(1 << 20);
    let others = [("shop/app/Dockerfile", DOCKERFILE), ("shop/large/a", large.as_str()), ("shop/large/b", "x")];
    let (text, system) = file(compose, &others);
    let [job] = &system.jobs[..] else { panic!("{text}") };
    let names = |names: &[ServiceName]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((job.name.as_str(), job.of.as_str(), names(&job.needs)), ("migrate", "web", vec!["db".to_owned()]));
    assert_eq!(job.args.iter().map(ToString::to_string).collect::<Vec<_>>(), ["./manage", "migrate", "--note", "$$5"]);
    assert_eq!(system.services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>(), ["db", "web"]);
    has(
        &text,
        &[
            "# Others waited for it to end, so it runs before a release, with what `web` has.",
            "# That has not its `B`: give them to it, too.",
            "# `seed` is left out: others wait for it to end",
            "needs = [\"db\"]\n# It has more than 1 MiB of files, which no cluster takes",
            "\ntargets = [\"containers\"]\n",
            "# Its address was 10.0.0.7; here it is found by its name alone.",
        ],
    );
}

#[test]
fn a_host_name_of_another_system_is_not_taken() {
    let root = Root::new(&[(
        "shop/compose.yaml",
        "services: { redis: { image: 'redis:7.4' }, web: { image: a/b, links: [redis], ports: [1080] } }",
    )]);
    let text = render(&root.sketch(&["redis", "web"]));
    has(
        &text,
        &[
            "[services.redis]\n",
            "[services.shop-web]\n",
            "aliases = [\"web\"]",
            "needs = [\"redis\"]",
            "# Another system has `web` for the public",
        ],
    );
}

#[test]
fn a_file_that_is_none_is_told() {
    let root = Root::new(&[("shop/compose.yaml", "services:\n  web: [\n")]);
    let public = BTreeSet::new();
    let images = ImagePins::new();
    let repository = Repository { root: &root.0, images: &images, public: &public };
    let told = |text: &str| {
        root.write("shop/compose.yaml", text);
        read(&repository, "shop/compose.yaml", "shop".parse().unwrap(), &|_| None).unwrap_err().to_string()
    };
    assert!(told("services:\n  web: [\n").starts_with("`shop/compose.yaml` cannot be read: line "));
    assert_eq!(told("version: 3\n"), "`shop/compose.yaml` cannot be read: it has no `services`");
}
