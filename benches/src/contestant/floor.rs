//! The floor, which opening cannot beat: the key agreement of every entry, by the fastest X25519 among the
//! dependencies.

use std::thread;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};

use crate::{Failure, account::Account, child};

pub(crate) fn run(account: &Account) -> Result<(), Failure> {
    let cores = thread::available_parallelism()?.get() as u64;
    let own = PrivateKey::generate(&X25519)?;
    let other = PrivateKey::generate(&X25519)?.compute_public_key()?.as_ref().to_vec();
    child::answer((), |()| {
        let (own, other) = (&own, &other);
        let agreed = thread::scope(|scope| {
            let threads: Vec<_> = (0..cores)
                .map(|core| {
                    let share = account.keys / cores + u64::from(core < account.keys % cores);
                    scope.spawn(move || (0..share).all(|_| agrees(own, other)))
                })
                .collect();
            threads.into_iter().all(|thread| thread.join().unwrap_or(false))
        });
        agreed.then_some(()).ok_or_else(|| "no agreement".into())
    })
}

fn agrees(own: &PrivateKey, other: &[u8]) -> bool {
    let other = UnparsedPublicKey::new(&X25519, other);
    agree(own, other, (), |secret| {
        std::hint::black_box(secret);
        Ok(())
    })
    .is_ok()
}
