//! Looks at what an engine has: a question, its answer as a type, and what is not there told from what failed.

use super::{Container, Engine, Image, Named, says_absent};
use anyhow::Result;
use base::error::Fault;
use base::proc::{CommandLine, Proc};

/// How often what is kept of builds is removed while others remove theirs.
const LAYERS_ATTEMPTS: u32 = 5;

impl Engine {
    /// The images among these that are here; in their order, but without those that are not.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn images<S: AsRef<str>>(&self, proc: &Proc, references: &[S]) -> Result<Vec<Image>> {
        if references.is_empty() {
            return Ok(Vec::new());
        }
        Ok(Image::parse(&look(proc, &self.image_inspect(references))?))
    }

    /// An image, if it is here.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn image(&self, proc: &Proc, reference: &str) -> Result<Option<Image>> {
        Ok(self.images(proc, &[reference])?.into_iter().next())
    }

    /// Whether anything is kept of builds under a label that no named image needs.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn has_layers(&self, proc: &Proc, label: &str) -> Result<bool> {
        Ok(!proc.read(&self.layers(label))?.trim().is_empty())
    }

    /// Removes what is kept of builds under a label. podman looks at all images of the machine for it, and gives up when one
    /// is gone by then that somebody else removes: it is asked again.
    ///
    /// # Errors
    /// When the engine refuses, in its own words.
    pub fn remove_layers(&self, proc: &Proc, label: &str) -> Result<()> {
        let command = self.layers_remove(label);
        for _ in 1..LAYERS_ATTEMPTS {
            let answer = proc.try_read(&command)?;
            if answer.success {
                return Ok(());
            }
            if !says_absent(&answer.stderr) {
                break;
            }
        }
        proc.read(&command).map(drop)
    }

    /// Removes a name of an image, and with its last one the image: podman keeps one that was asked for by the digest under
    /// which a registry has it.
    ///
    /// # Errors
    /// When the engine refuses, in its own words.
    pub fn remove_image(&self, proc: &Proc, reference: &str) -> Result<()> {
        let image = self.image(proc, reference)?;
        remove(proc, &self.image_remove(reference))?;
        let Some(image) = image else { return Ok(()) };
        let left = self.image(proc, &image.id)?.filter(|left| left.tags.is_empty());
        let Some(left) = left else { return Ok(()) };
        // With more than one of these, one for each service that it was pushed for, it is not removed by its own. podman
        // lists every digest with every name, also those that it does not have.
        if left.digests.len() > 1 {
            for digest in &left.digests {
                remove(proc, &self.image_remove(digest))?;
            }
        }
        remove(proc, &self.image_remove(&left.id))
    }

    /// The containers among these that exist.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn containers<S: AsRef<str>>(&self, proc: &Proc, names: &[S]) -> Result<Vec<Container>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        Ok(Container::parse(&look(proc, &self.container_inspect(names))?))
    }

    /// A container, if it exists.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn container(&self, proc: &Proc, name: &str) -> Result<Option<Container>> {
        Ok(self.containers(proc, &[name])?.into_iter().next())
    }

    /// A network, if it exists.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn network(&self, proc: &Proc, name: &str) -> Result<Option<Named>> {
        Ok(Named::parse(&look(proc, &self.network_inspect(name))?).into_iter().next())
    }

    /// A volume, if it exists.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn volume(&self, proc: &Proc, name: &str) -> Result<Option<Named>> {
        // podman takes the beginning of another name for that name.
        Ok(Named::parse(&look(proc, &self.volume_inspect(name))?).into_iter().find(|found| found.name == name))
    }
}

/// What an engine prints of things, some of which may not exist.
fn look(proc: &Proc, command: &CommandLine) -> Result<String> {
    let answer = proc.try_read(command)?;
    if answer.success || says_absent(&answer.stderr) {
        return Ok(answer.stdout);
    }
    let words = answer.stderr.trim();
    Err(Fault::failed("engine", format!("`{command}` ended with {}: {words}", answer.status)).into())
}

/// Removes something; that it is gone already is no failure.
///
/// # Errors
/// When the engine refuses, in its own words.
pub fn remove(proc: &Proc, command: &CommandLine) -> Result<()> {
    look(proc, command).map(drop)
}
