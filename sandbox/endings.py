"""How issues and events come to an end: merged, deleted, or older than the retention."""

from bisect import bisect_left

from .additions import Additions
from .model import Entry, Event, Issue, Member, Pending, Project, Row


class Endings(Additions):
    """Ending things; every method may be called while the world is served.

    A real server merges and deletes in the background: `begin_...` is the moment it answers the request,
    `finish_merge` and `delete_issue` the moment the work is done. In between the issue is in no list and
    its detail answers 404, while its events are listed as before, still under its id.
    """

    def note(self, issue: Issue, kind: str, data: Row | None = None, by: Member | None = None) -> None:
        """Write a change of an issue into its activity; no event comes with it, `last_seen` stays."""
        issue.changed_at = self.seconds_now
        issue.activity.append({"type": kind, "at": issue.changed_at, "data": data or {}, "by": by})
        self.changed()

    def merge(self, child: "str | Issue", into: "str | Issue") -> Issue:
        """Merge an issue into another of its project: its events move, its id leads to the parent."""
        with self.lock:
            lost, kept = self.issue(child), self.issue(into)
            if lost is not kept:
                self._join(lost, kept)
            return kept

    def begin_merge(self, child: "str | Issue", into: "str | Issue") -> Issue:
        """Take an issue out of the lists (pending_merge); its events stay its own until the merge is finished."""
        with self.lock:
            lost, kept = self.issue(child), self.issue(into)
            if lost is not kept:
                lost.pending, lost.merging_into = "pending_merge", kept
                self.changed()
            return lost

    def finish_merge(self, child: "str | Issue") -> Issue:
        """Finish a merge that was begun, into where its target is by now.

        If the target was deleted meanwhile, the child and its events are deleted too.

        Raises:
            KeyError: No merge of this issue was begun.
        """
        with self.lock:
            lost = self._waiting(child, "pending_merge")
            kept = lost.merging_into
            while kept is not None and kept.merged_into is not None:
                kept = kept.merged_into
            lost.pending, lost.merging_into = None, None
            if kept is None or kept.deleted:
                self._erase(lost)
                return lost
            self._join(lost, kept)
            return kept

    def _join(self, lost: Issue, kept: Issue) -> None:
        for _, _, event in lost.timeline:
            event.issue = kept
        kept.timeline = sorted(kept.timeline + lost.timeline, key=lambda entry: entry[:2])
        kept.times_seen += lost.times_seen
        kept.first_seen = min(kept.first_seen, lost.first_seen)
        kept.last_seen = max(kept.last_seen, lost.last_seen)
        kept.users_cache.clear()
        lost.timeline, lost.merged_into = [], kept
        for other in self.all_issues.values():  # What was merged into it before leads straight on.
            if other.merged_into is lost:
                other.merged_into = kept
        self.extras.merge_issues(lost.id, kept.id)
        self.note(kept, "merge")

    def begin_deletion(self, issue: "str | Issue") -> Issue:
        """Take an issue out of the lists (pending_deletion); its events are still there."""
        with self.lock:
            found = self.issue(issue)
            found.pending = "pending_deletion"
            self.changed()
            return found

    def cancel_deletion(self, issue: "str | Issue") -> Issue:
        """Bring back an issue whose deletion was begun, with the status it had.

        Raises:
            KeyError: No deletion of this issue was begun.
        """
        with self.lock:
            found = self._waiting(issue, "pending_deletion")
            found.pending = None
            self.changed()
            return found

    def delete_issue(self, issue: "str | Issue") -> None:
        """Delete an issue and its events; a deletion that was begun is finished by it."""
        with self.lock:
            try:
                found = self._waiting(issue, "pending_deletion")
            except KeyError:
                found = self.issue(issue)
            self._erase(found)

    def _erase(self, found: Issue) -> None:
        project = found.project
        for entry in found.timeline:
            project.by_id.pop(entry[1], None)
        project.timeline = [entry for entry in project.timeline if entry[2].issue is not found]
        found.timeline, found.deleted = [], True
        found.pending, found.merging_into = None, None
        self.changed()

    def _waiting(self, name: "str | Issue", pending: Pending) -> Issue:
        """The issue by id or short id for which this was begun.

        Raises:
            KeyError: There is none.
        """
        for found in [name] if isinstance(name, Issue) else self.all_issues.values():
            if found.pending == pending and (found is name or name in {found.id, found.short_id}):
                return found
        raise KeyError(name)

    def delete_event(self, event: Event) -> None:
        """Remove one event from lists and details, as retention or a data request does."""
        with self.lock:
            owners: list[Project | Issue] = [event.project, *([event.issue] if event.issue else [])]
            for owner in owners:
                del owner.timeline[
                    bisect_left(owner.timeline, (event.at, event.event_id), key=lambda e: e[:2])
                ]
            event.project.by_id.pop(event.event_id, None)
            if event.issue:
                event.issue.users_cache.clear()
            self.changed()

    def clean_up(self) -> None:
        """Remove for good what is older than the retention, as self-hosted servers do every night.

        Until then an issue without younger events is in no search any more, but has a detail and answers
        to `group=`; afterwards it is gone. The count and the first sighting of the others stay.
        """
        with self.lock:
            for issue in self.all_issues.values():
                if not issue.gone and issue.last_seen < self.horizon:
                    self._erase(issue)
                self._trim(issue)
                issue.users_cache.clear()
            for project in self.all_projects.values():
                for entry in self._trim(project):
                    project.by_id.pop(entry[1], None)
            self.changed()

    def _trim(self, owner: Project | Issue) -> list[Entry]:
        """Cut what is older than the retention off a timeline; what was cut off."""
        end = bisect_left(owner.timeline, (self.horizon,))
        old, owner.timeline = owner.timeline[:end], owner.timeline[end:]
        return old
