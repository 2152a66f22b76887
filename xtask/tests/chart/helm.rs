//! The Helms of this machine, and what they make of the chart.

use serde_json::Value;
use skip::{Found, Missing};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The oldest Kubernetes that the chart is for: what Helm assumes by itself goes with its own version.
const KUBERNETES: &str = "1.30.0";

#[derive(Debug)]
pub(crate) struct Helm {
    program: PathBuf,
    pub(crate) version: String,
}

/// Those that are there, at least one.
///
/// # Panics
/// If there is none and the variable `XTASK_REQUIRE_HELM` is set to `1`.
pub(crate) fn helms() -> Found<&'static [Helm]> {
    static FOUND: OnceLock<Vec<Helm>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let helm3 = std::env::var_os("XTASK_HELM3").map(PathBuf::from);
        if helm3.is_none() {
            skip::part("the chart with Helm 3 (set `XTASK_HELM3` to its path)");
        }
        [Some("helm".into()), helm3].into_iter().flatten().filter_map(Helm::find).collect()
    });
    if found.is_empty() {
        return Err(Missing::unless_required("no `helm` on PATH", "XTASK_REQUIRE_HELM"));
    }
    Ok(found)
}

/// The first of them.
pub(crate) fn helm() -> Found<&'static Helm> {
    helms().map(|helms| &helms[0])
}

impl Helm {
    fn find(program: PathBuf) -> Option<Self> {
        let answer = Command::new(&program).args(["version", "--template", "{{.Version}}"]).output().ok()?;
        answer.status.success().then(|| Self { program, version: String::from_utf8(answer.stdout).unwrap() })
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.stdin(Stdio::null());
        command
    }

    /// A command that needs no cluster, given values.
    fn offline(&self, args: &[&str], values: &Value) -> Output {
        let mut command = self.command();
        command.args(args).args(["--kube-version", KUBERNETES, "--values", "-"]).env_remove("KUBECONFIG");
        with_input(command, &values.to_string())
    }

    /// What `helm lint` says against it.
    pub(crate) fn lint(&self, values: &Value) -> Result<(), String> {
        let output = self.offline(&["lint", "--quiet", "--strict", chart()], values);
        if output.status.success() { Ok(()) } else { Err(said(&output)) }
    }

    /// The manifests of a release that is called as its system.
    pub(crate) fn manifests(&self, values: &Value) -> Result<String, String> {
        let release = values["system"].as_str().unwrap();
        let output = self.offline(&["template", release, chart(), "--namespace", "somewhere"], values);
        if output.status.success() { Ok(String::from_utf8(output.stdout).unwrap()) } else { Err(said(&output)) }
    }

    /// The objects in these manifests, sorted. Helm itself is what reads YAML here.
    #[track_caller]
    pub(crate) fn objects(&self, values: &Value) -> Vec<Value> {
        let manifests = self.manifests(values).unwrap_or_else(|error| panic!("{}: {error}\n{values:#}", self.version));
        let reader = reader();
        let given = serde_json::json!({"manifests": manifests});
        let output = self.offline(&["template", "reader", reader.to_str().unwrap()], &given);
        assert!(output.status.success(), "{}", said(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().filter(|line| line.starts_with('{'));
        let mut objects: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
        objects.sort_by_key(|object| (kind(object).to_owned(), name(object).to_owned()));
        objects
    }
}

/// A chart that says as JSON what it is given as YAML.
fn reader() -> &'static Path {
    const TEMPLATE: &str = "{{- range regexSplit \"(?m)^---$\" .Values.manifests -1 }}\n{{- with fromYaml . }}\n---\n\
        {{ if .Error }}{{ fail .Error }}{{ end }}\n{{ toJson . }}\n{{- end }}\n{{- end }}\n";
    static READER: OnceLock<PathBuf> = OnceLock::new();
    READER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("yaml-reader");
        std::fs::create_dir_all(folder.join("templates")).unwrap();
        std::fs::write(folder.join("Chart.yaml"), "apiVersion: v2\nname: reader\nversion: 1.0.0\n").unwrap();
        std::fs::write(folder.join("templates/all.yaml"), TEMPLATE).unwrap();
        folder
    })
}

pub(crate) fn chart() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../helm/app")
}

pub(crate) fn with_input(mut command: Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that ends before it has read everything says why itself.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

pub(crate) fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// The object of a kind with a name.
#[track_caller]
pub(crate) fn find<'o>(objects: &'o [Value], wanted: &str, called: &str) -> &'o Value {
    let found = objects.iter().find(|object| kind(object) == wanted && name(object) == called);
    found.unwrap_or_else(|| panic!("no {wanted} `{called}` in {objects:#?}"))
}

/// The names of all objects of a kind.
pub(crate) fn names<'o>(objects: &'o [Value], wanted: &str) -> Vec<&'o str> {
    objects.iter().filter(|object| kind(object) == wanted).map(name).collect()
}
