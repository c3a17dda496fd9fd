//! A keyring in memory.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use keyferry::{HostError, Keyring, SecretBytes};

/// A keyring that begins empty, and can be broken, or slow like one in hardware.
#[derive(Default)]
pub(crate) struct MemoryKeyring {
    pub(crate) items: Mutex<HashMap<String, SecretBytes>>,
    pub(crate) broken: Mutex<bool>,
    pub(crate) delay: Duration,
}

impl Keyring for MemoryKeyring {
    fn load(&self, name: String) -> Result<Option<SecretBytes>, HostError> {
        if *self.broken.lock().expect("not poisoned") {
            return Err(HostError::Failed {
                detail: "locked".to_owned(),
            });
        }
        let secret = self.items.lock().expect("not poisoned").get(&name).cloned();
        std::thread::sleep(self.delay);
        Ok(secret)
    }

    fn store(&self, name: String, secret: SecretBytes) -> Result<(), HostError> {
        std::thread::sleep(self.delay);
        self.items.lock().expect("not poisoned").insert(name, secret);
        Ok(())
    }
}
