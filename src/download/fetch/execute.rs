//! The fetch stage: carries out the plan, request by request, and retries failures that pass by themselves.

use std::time::Instant;

use super::{
    file::{FromFile, waits_for_file},
    plan::{Facts, Step, next_step},
    requests::RequestError,
    rooms::ROOM_CUTS_BEFORE_FILE,
    stage::{FetchEnd, FetchStage},
};
use crate::{
    backup::completeness::{Evidence, Settled},
    clock::wall_ms,
    download::telling::FetchActivity,
    homeserver::{HomeserverError, KeysRequest, Retry, TransportError, rest_after},
    ids::Era,
    random::dice,
    vault::{AskedUnder, Fault, VaultError},
};

/// How long a list of the joined rooms stays valid, in milliseconds.
const ROOM_LIST_MS: i64 = 60 * 60 * 1_000;

/// Facts that hold within one run only.
#[derive(Clone, Copy, Debug, Default)]
struct InThisRun {
    /// How often a request for everything was cut off, even before its first byte.
    cuts: u32,
    latest_rooms_asked: bool,
    /// Set once everything has come in a wrong shape and is requested again: the number of names before that.
    names_before_wrong_shape: Option<u64>,
}

impl FetchStage {
    /// Fetches until nothing is missing, or until fetching cannot continue.
    pub(crate) async fn work(&self) -> Result<(), FetchEnd> {
        self.note_wanted_rooms().await?;
        tokio::select! {
            result = self.carry_out() => result,
            end = self.wanted_rooms() => Err(end),
        }
    }

    async fn carry_out(&self) -> Result<(), FetchEnd> {
        self.phase.download.progress.set_fetch(FetchActivity::Fetching);
        self.prefer_rooms().await?;
        let mut in_this_run = InThisRun::default();
        let mut retry = Retry::default();
        loop {
            let facts = self.facts(in_this_run).await?;
            let names = facts.evidence.names;
            match next_step(&facts) {
                Step::Done => return Ok(()),
                Step::Settle => self.settle(in_this_run).await?,
                Step::LatestRooms => {
                    in_this_run.latest_rooms_asked = true;
                    self.latest_rooms().await?;
                }
                Step::FailedRooms => self.failed_rooms().await?,
                Step::ListRooms => self.list_rooms().await?,
                Step::Rooms => self.rooms().await?,
                Step::RoomsAgain => {
                    self.vault(|writer, version| writer.ask_again_for_rooms(version))
                        .await?
                }
                Step::EverythingByFile => match self.by_file(&KeysRequest::AllRooms).await {
                    Ok(FromFile::Read(under)) => self.everything_is_read(under).await?,
                    Ok(FromFile::UnderWay) => return Err(waits_for_file()),
                    Err(error) => {
                        self.everything_failed(error, names, &mut in_this_run, &mut retry)
                            .await?
                    }
                },
                Step::Everything => match self.everything().await {
                    Ok(()) => self.everything_is_read(self.mark()).await?,
                    Err(error) => {
                        self.everything_failed(error, names, &mut in_this_run, &mut retry)
                            .await?
                    }
                },
                Step::GiveUpForNow => self.postpone_everything(Fault::Other).await?,
                Step::Rest => return Err(self.rest().await),
            }
        }
    }

    /// Settles the version if its mark is still the one that this run knows.
    async fn settle(&self, in_this_run: InThisRun) -> Result<(), FetchEnd> {
        let info = self
            .patiently(|| self.phase.context.homeserver.version(&self.version.version))
            .await?;
        let row = self.version.id;
        let before = self.facts(in_this_run).await?.evidence.settled();
        let was_complete = before.is_some_and(|settled| settled != Settled::Short);
        let moved = self
            .vault(move |writer, version| {
                let id = writer.write(|tx| tx.note_version(&info))?.id;
                Ok((id, writer.reader().version_by_id(version)?.map(|version| version.era)))
            })
            .await?;
        match moved {
            (id, _) if id != row => return Err(FetchEnd::VersionGone),
            (_, era) if era != Some(self.version.era) => return Err(FetchEnd::MovedOn { was_complete }),
            _ => {}
        }
        let Some(settled) = self.facts(in_this_run).await?.evidence.settled() else {
            return Ok(());
        };
        let era = self.version.era;
        let is_settled = self
            .vault(move |writer, version| writer.settle_version(version, era, settled))
            .await?;
        if is_settled {
            Ok(())
        } else {
            Err(FetchEnd::MovedOn { was_complete })
        }
    }

    /// Records that an answer for everything reached its well-formed end.
    async fn everything_is_read(&self, under: AskedUnder) -> Result<(), FetchEnd> {
        let is_noted = self
            .vault(move |writer, version| writer.mark_everything_read(version, under))
            .await?;
        if is_noted {
            Ok(())
        } else {
            Err(FetchEnd::MovedOn { was_complete: false })
        }
    }

    /// Handles a failed request for everything, after which single rooms may still come. `names` is the number of
    /// names before the request.
    async fn everything_failed(
        &self,
        error: RequestError,
        names: u64,
        in_this_run: &mut InThisRun,
        retry: &mut Retry,
    ) -> Result<(), FetchEnd> {
        if error.is_too_much() {
            in_this_run.cuts += 1;
        }
        if error.is_a_cut() {
            // Something came, so the next failure is a new one.
            retry.reset();
        }
        if error.has_wrong_shape() {
            let Some(names_before) = in_this_run.names_before_wrong_shape else {
                in_this_run.names_before_wrong_shape = Some(names);
                return Ok(());
            };
            self.postpone_everything(Fault::WrongShape).await?;
            return self.count_without_what_came(names_before).await;
        }
        let is_of_the_request = error.is_of_the_request();
        if error.is_not_found() && self.version_is_there().await {
            return self.postpone_everything(Fault::Other).await;
        }
        match self.wait_or_end(retry, error).await {
            Err(FetchEnd::Failed(_)) if is_of_the_request => self.postpone_everything(Fault::Other).await,
            Err(FetchEnd::Blocked { error, .. }) if is_of_the_request || self.is_only_of_this(&error).await => {
                self.postpone_everything(Fault::Other).await
            }
            Err(FetchEnd::Blocked { error, retry_after }) if error.is_a_fault() => {
                // The server asked to wait. If it asks so repeatedly for this request alone, rooms come meanwhile.
                self.postpone_everything(Fault::Other).await?;
                Err(FetchEnd::Blocked { error, retry_after })
            }
            result => result,
        }
    }

    /// Counts names from the beginning if answers of a wrong shape added any: those prove nothing.
    async fn count_without_what_came(&self, names_before: u64) -> Result<(), FetchEnd> {
        let is_begun = self
            .vault(move |writer, version| {
                let row = writer.reader().version_by_id(version)?.ok_or(VaultError::Corrupt)?;
                let has_some = row.names != names_before;
                if has_some {
                    writer.recount_names(version)?;
                }
                Ok(has_some)
            })
            .await?;
        if is_begun { Err(FetchEnd::Again) } else { Ok(()) }
    }

    async fn postpone_everything(&self, fault: Fault) -> Result<(), FetchEnd> {
        self.vault(move |writer, version| {
            let failures = writer
                .reader()
                .version_by_id(version)?
                .map_or(0, |row| row.rest.failures);
            writer.postpone_everything(version, fault, rest_after(failures, dice()))
        })
        .await
    }

    /// Returns how fetching ends if only postponed requests are left: which ones, and when to retry them.
    async fn rest(&self) -> FetchEnd {
        let look = self
            .vault(|writer, version| {
                let reader = writer.reader();
                let row = reader.version_by_id(version)?.ok_or(VaultError::Corrupt)?;
                Ok((row, reader.resting_rooms(version)?))
            })
            .await;
        let (row, rooms) = match look {
            Ok(found) => found,
            Err(end) => return end,
        };
        let everything = row.rest.left();
        let nothing_is_served = rooms.wrong_shapes == rooms.rooms && !rooms.is_any_read;
        if everything.is_some() && row.rest.has_wrong_shape && nothing_is_served {
            return FetchEnd::NotServed;
        }
        let rooms_wait = (rooms.rooms > 0).then_some(rooms.wait);
        let waits = [everything, rooms_wait].into_iter().flatten();
        let retry_after = waits.min().unwrap_or(rest_after(0, dice()));
        match rooms.rooms {
            0 => FetchEnd::Blocked {
                error: HomeserverError::Transport(TransportError::Interrupted),
                retry_after,
            },
            rooms => FetchEnd::Resting { rooms, retry_after },
        }
    }

    /// Collects the facts that the vault and the clock know.
    async fn facts(&self, in_this_run: InThisRun) -> Result<Facts, FetchEnd> {
        let (version, first_room, listed_rooms_left, resting, has_failures, has_older_answers) = self
            .vault(move |writer, version| {
                let reader = writer.reader();
                let row = reader.version_by_id(version)?.ok_or(VaultError::Corrupt)?;
                let first_room = reader.rooms_to_fetch(version, 1)?.pop();
                let has_failures = reader.has_failures_to_ask(&row)?;
                let rooms_left = reader.has_listed_rooms_to_fetch(version)?;
                Ok((
                    row,
                    first_room,
                    rooms_left,
                    reader.resting_rooms(version)?,
                    has_failures,
                    reader.has_older_answers(version)?,
                ))
            })
            .await?;
        // If the clock has jumped, the list is made again.
        let rooms_listed = version
            .rooms_listed_ms
            .is_some_and(|listed| (0..ROOM_LIST_MS).contains(&(wall_ms() - listed)));
        let has_list = rooms_listed || version.rooms_listed_in_era;
        let rooms_left = listed_rooms_left || (has_list && first_room.is_some());
        let everything_rests = version.rest.left().is_some();
        Ok(Facts {
            evidence: Evidence {
                count: version.count,
                names: version.names,
                everything: version.everything,
                rooms_have_answered: version.rooms_listed_in_era && !rooms_left && resting.rooms == 0,
                has_older_answers,
                change_is_explained: version.settled_in > Era::default()
                    && (version.names > version.settled_names || version.is_replaced),
                is_anything_failing: everything_rests || resting.rooms > 0,
                is_everything_failing: everything_rests,
                known_shortfall: version.shortfall,
                accepted: version.accepted,
            },
            is_settled: version.settled.is_some(),
            has_changed: version.settled_in > Era::default() && version.is_carried,
            latest_rooms_asked: in_this_run.latest_rooms_asked,
            has_failures_to_ask: has_failures,
            cuts: version.cuts,
            cuts_in_this_run: in_this_run.cuts,
            everything_rests,
            // Without a deadline, there is time to read the answer as it comes.
            files: self.phase.context.files.is_some() && self.phase.deadline.is_some(),
            rooms_left,
            rooms_wanted: first_room.is_some_and(|room| room.is_wanted && room.cuts < ROOM_CUTS_BEFORE_FILE),
            rooms_listed,
            rooms_listed_in_era: version.rooms_listed_in_era,
            time_left_ms: self
                .phase
                .deadline
                .map(|deadline| deadline.saturating_duration_since(Instant::now()).as_millis() as u64),
        })
    }

    /// Requests everything, in the order that the server chooses; wanted rooms are requested beside it.
    async fn everything(&self) -> Result<(), RequestError> {
        self.count_from_the_beginning().await.map_err(RequestError::Ended)?;
        self.want_beside().await.map_err(RequestError::Ended)?;
        self.ask(&KeysRequest::AllRooms).await
    }

    /// Counts names from the beginning if some are carried over, because an answer for everything must prove by
    /// itself what exists under this mark.
    async fn count_from_the_beginning(&self) -> Result<(), FetchEnd> {
        let is_begun = self
            .vault(|writer, version| {
                let row = writer.reader().version_by_id(version)?.ok_or(VaultError::Corrupt)?;
                if row.is_carried {
                    writer.recount_names(version)?;
                }
                Ok(row.is_carried)
            })
            .await?;
        if is_begun { Err(FetchEnd::Again) } else { Ok(()) }
    }
}
