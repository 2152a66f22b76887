//! `add`: the file of a system from what is there already.

use adopt::files::{self, Files};
use adopt::look::{Fetched, Looked};
use adopt::{Repository, Sketch, compose, folder, image, name_of, reference, trial};
use anyhow::Result;
use base::ctx::Ctx;
use base::error::{Exit, Fault};
use model::container::{EngineKind, Platform};
use model::image::ImagePin;
use model::name::{ServiceName, SystemName};
use model::secret::FOLDER;
use remote_tools::git;
use serde_json::json;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tools::oci::{self, Engine, Found};
use verbs::cli::AddArgs;
use verbs::ui;

/// What a system is made from. Paths are from the root.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    Folder(String),
    Compose(String),
    Image(ImagePin),
}

/// # Errors
/// When there is nothing to make a system from, or its file is there already.
pub(crate) fn run(args: &AddArgs, ctx: &Ctx) -> Result<Exit> {
    let source = source(&args.source, &ctx.root)?;
    let port = port(args, &source)?;
    let name = name(args.name.as_deref(), &source, &ctx.root)?;
    let path = files::path(name.as_str());
    if ctx.root.join(&path).exists() {
        return Err(files::taken(&path).into());
    }
    let may_write = args.mutation.yes || args.mutation.dry_run || ctx.can_ask;
    if !may_write {
        // Says so before anything is fetched.
        ui::confirm(ctx, false, &format!("this writes `{path}`"))?;
    }
    if let (Source::Image(pin), true) = (&source, args.mutation.dry_run) {
        return rehearse(args, ctx, pin);
    }
    let sketch = sketch(args, ctx, &source, name, port)?;
    let files = Files::new(&ctx.root, &sketch)?;
    if args.mutation.dry_run {
        tell(args, &files, "planned")?;
        return Ok(Exit::Done);
    }
    if !args.mutation.yes && !args.json.json {
        ui::say(&files.text);
    }
    let what: Vec<String> = files.paths().iter().map(|path| format!("`{path}`")).collect();
    if !ui::confirm(ctx, args.mutation.yes, &format!("this writes {}", what.join(", ")))? {
        ui::say("nothing was written");
        return Ok(Exit::Failed);
    }
    files.write()?;
    warn(ctx, &files)?;
    tell(args, &files, "written")?;
    Ok(Exit::Done)
}

/// What was written or would be; of the secrets the places alone.
fn tell(args: &AddArgs, files: &Files<'_>, result: &str) -> Result<()> {
    if args.json.json {
        let secrets: Vec<String> = files.secrets().into_keys().collect();
        let document = json!({
            "schema": 1, "result": result, "file": files.path, "text": files.text,
            "pins": files.pins.lines().collect::<Vec<_>>(), "secrets": secrets,
        });
        return ui::document(&document);
    }
    if result == "planned" {
        ui::result(files.text.trim_end())?;
        files.paths().iter().for_each(|path| ui::say(&format!("would write {path}")));
        return Ok(());
    }
    let system = Path::new(&files.path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let lines: Vec<String> = files.paths().iter().map(|path| format!("{path} written")).collect();
    ui::result(&lines.join("\n"))?;
    ui::say(&format!("read its comments, then: cargo xtask deploy {system} --env {}", args.environment.name));
    Ok(())
}

/// Secrets are copied to where git is to ignore them, which is for the repository to say.
fn warn(ctx: &Ctx, files: &Files<'_>) -> Result<()> {
    let secrets = files.secrets();
    let Some(first) = secrets.keys().next().filter(|_| ctx.proc.find("git").is_some()) else { return Ok(()) };
    let is_repository = ctx.proc.try_read(&git::prefix(&ctx.root))?.success;
    if is_repository && !ctx.proc.try_read(&git::ignores(&ctx.root, first))?.success {
        ui::say(&format!("git does not ignore `{first}`: add `/{FOLDER}/` to `.gitignore` before you commit"));
    }
    Ok(())
}

/// An image has to be run before anything can be said of it.
fn rehearse(args: &AddArgs, ctx: &Ctx, pin: &ImagePin) -> Result<Exit> {
    let wanted = engine(args, ctx)?;
    let kind = oci::candidates(wanted).first().copied().unwrap_or(EngineKind::Docker);
    let engine = Engine::as_typed(kind);
    let platform = Platform::of_architecture(std::env::consts::ARCH).unwrap_or(Platform::LinuxAmd64);
    let mut commands = vec![engine.pull(&pin.pull_reference(), platform).to_string()];
    commands.extend(trial::shown(&engine, &pin.pull_reference()));
    if args.json.json {
        ui::document(&json!({"schema": 1, "result": "planned", "commands": commands}))?;
    } else {
        ui::result(&commands.join("\n"))?;
        ui::say("what the file says depends on what the image does then");
    }
    Ok(Exit::Done)
}

fn sketch(args: &AddArgs, ctx: &Ctx, source: &Source, name: SystemName, port: Option<u16>) -> Result<Sketch> {
    let spec = model::load_readable(&ctx.root).spec;
    let services = spec.systems.iter().flat_map(|system| &system.services).filter(|service| service.public);
    let public: BTreeSet<ServiceName> = services.map(|service| service.public_name.name.clone()).collect();
    let repository = Repository { root: &ctx.root, images: &spec.images, public: &public };
    match source {
        Source::Folder(folder) => folder::read(&repository, folder, name, port),
        Source::Compose(path) => {
            let found: OnceCell<Option<Found>> = OnceCell::new();
            let look = |pin: &ImagePin| look(args, ctx, &found, pin);
            compose::read(&repository, path, name, &look)
        }
        Source::Image(pin) => {
            let found = oci::detect(&ctx.proc, engine(args, ctx)?)?;
            ui::say(&format!("running `{pin}` once, confined, to see what it does"));
            let fetched = Fetched::new(&found, &ctx.proc, pin)?;
            let looked = fetched.looked(&std::env::temp_dir());
            let tried = trial::run_once(&fetched, pin, &ctx.root.display().to_string(), &looked, &ctx.interrupts)?;
            image::sketch(&repository, pin, name, &looked, &tried)
        }
    }
}

/// What an image says of itself. Without an engine, or one that has it, what is known of it has to do.
fn look(args: &AddArgs, ctx: &Ctx, found: &OnceCell<Option<Found>>, pin: &ImagePin) -> Option<Looked> {
    let found = found.get_or_init(|| {
        let detected = engine(args, ctx).and_then(|wanted| oci::detect(&ctx.proc, wanted));
        detected.map_err(|_| ui::say("no engine answers, so images are not looked at")).ok()
    });
    let fetched = Fetched::new(found.as_ref()?, &ctx.proc, pin);
    let fetched = fetched.map_err(|error| ui::say(&format!("`{pin}` cannot be looked at: {error:#}"))).ok()?;
    Some(fetched.looked(&std::env::temp_dir()))
}

/// The engine that the environment names, where there is such an environment.
fn engine(args: &AddArgs, ctx: &Ctx) -> Result<Option<EngineKind>> {
    let known = model::environment_names(&ctx.root)
        .is_ok_and(|names| names.iter().any(|name| name.as_str() == args.environment.name));
    if !known && args.environment.set.is_empty() {
        return Ok(None);
    }
    Ok(args.environment.read(&ctx.root).map_err(Fault::from)?.engine)
}

/// The port that is said to be a Dockerfile's program's.
fn port(args: &AddArgs, source: &Source) -> Result<Option<u16>> {
    let Some(text) = &args.port else { return Ok(None) };
    let Source::Folder(_) = source else {
        let cause = format!("`--port` is for a folder with a Dockerfile, which `{}` is not", args.source);
        return Err(Fault::usage(cause).hint("an image and a compose file say where they listen; leave it out").into());
    };
    match text.parse() {
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => Err(Fault::usage(format!("`--port {text}` is no port: a number from 1 to 65535")).into()),
    }
}

fn source(text: &str, root: &Path) -> Result<Source> {
    let path = [PathBuf::from(text), root.join(text)].into_iter().find_map(|path| path.canonicalize().ok());
    let Some(path) = path else { return of_image(text) };
    let root = root.canonicalize()?;
    let Some(within) = path.strip_prefix(&root).ok().and_then(Path::to_str) else {
        let cause = format!("`{text}` is not in this repository");
        return Err(Fault::usage(cause)
            .hint("copy it here first: what is deployed is built from the repository")
            .into());
    };
    let within = within.to_owned();
    if path.is_file() {
        return Ok(match path.file_name().and_then(|name| name.to_str()) {
            Some("Dockerfile") => {
                Source::Folder(within.strip_suffix("Dockerfile").unwrap_or_default().trim_end_matches('/').to_owned())
            }
            _ => Source::Compose(within),
        });
    }
    let compose = compose::FILES.into_iter().find(|file| path.join(file).is_file());
    match (path.join("Dockerfile").is_file(), compose) {
        (true, compose) => {
            if let Some(file) = compose {
                ui::say(&format!(
                    "`{text}` has a `{file}`, too: `cargo xtask add {text}/{file}` takes all that it describes"
                ));
            }
            Ok(Source::Folder(within))
        }
        (false, Some(file)) if within.is_empty() => Ok(Source::Compose(file.to_owned())),
        (false, Some(file)) => Ok(Source::Compose(format!("{within}/{file}"))),
        (false, None) => {
            let cause = format!("`{text}` has neither a Dockerfile nor a compose file");
            Err(Fault::usage(cause).hint("name the folder with the Dockerfile, or the compose file itself").into())
        }
    }
}

fn of_image(text: &str) -> Result<Source> {
    let is_path = text.starts_with(['.', '/', '~']) || text.ends_with(".yaml") || text.ends_with(".yml");
    let named = text.contains(['/', ':']);
    let hint = "name a folder with a Dockerfile, a compose file, or an image such as `docker.io/library/nginx:1.28`";
    match reference(text) {
        Ok(pin) if named && !is_path => Ok(Source::Image(pin)),
        _ => Err(Fault::usage(format!("there is no `{text}` here, and it is not the full name of an image"))
            .hint(hint)
            .into()),
    }
}

/// The name that is asked for, or else that of what the system is made from.
fn name(asked: Option<&str>, source: &Source, root: &Path) -> Result<SystemName> {
    if let Some(asked) = asked {
        return Ok(asked.parse().map_err(|error: model::name::BadName| Fault::usage(error.to_string()))?);
    }
    let of_root = || root.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let last = |path: &str| path.rsplit('/').next().filter(|part| !part.is_empty()).map_or_else(of_root, str::to_owned);
    let text = match source {
        Source::Folder(folder) => last(folder),
        Source::Compose(path) => last(path.rsplit_once('/').map_or("", |(folder, _)| folder)),
        Source::Image(pin) => last(pin.repository.path()),
    };
    let name = name_of(&text).and_then(|name| name.parse().ok());
    Ok(name.ok_or_else(|| Fault::usage(format!("`{text}` is no name of a system")).hint("name one: `--name NAME`"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_a_folder_a_file_or_an_image() {
        let root = std::env::temp_dir().join(format!("xtask-add-{}", std::process::id()));
        for (path, text) in [
            ("vote/Dockerfile", "FROM x"),
            ("shop/compose.yml", "services: {}"),
            ("empty/README.md", ""),
            ("own.yaml", ""),
        ] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let read = |text: &str| source(text, &root).map_err(|error| Fault::of(&error).cause);
        let called = |source: &Source| name(None, source, &root).unwrap().to_string();
        let folder = read("vote").unwrap();
        assert_eq!((&folder, called(&folder).as_str()), (&Source::Folder("vote".to_owned()), "vote"));
        assert_eq!(read("vote/Dockerfile"), Ok(folder));
        let compose = read("shop").unwrap();
        assert_eq!((&compose, called(&compose).as_str()), (&Source::Compose("shop/compose.yml".to_owned()), "shop"));
        assert_eq!(called(&read("own.yaml").unwrap()), root.file_name().unwrap().to_str().unwrap());
        let image = read("nginx:1.28").unwrap();
        assert_eq!(image, Source::Image("docker.io/library/nginx:1.28".parse().unwrap()));
        assert_eq!(called(&image), "nginx");
        for (text, wanted) in [
            ("gone", "there is no `gone` here"),
            ("./gone:1", "there is no `./gone:1` here"),
            ("empty", "has neither a Dockerfile nor a compose file"),
            ("/", "`/` is not in this repository"),
        ] {
            let told = read(text).unwrap_err();
            assert!(told.contains(wanted), "{told}");
        }
        std::fs::remove_dir_all(root).unwrap();
    }
}
