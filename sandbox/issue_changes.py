"""How an update changes issues: what becomes different in the world, and what the answer says of it.

Done in the order of the real server, which has changed everything else by the time it refuses to merge.
"""

from dataclasses import dataclass

from .access import Access
from .answers import json_answer
from .call import Call
from .catalog import SECRET
from .dates import DAY, stamp
from .errors import ApiError, bad_request
from .issue_bodies import Update, newest_release
from .issue_records import activity, actor
from .model import Issue, Member, Row, Status
from .records import user

NEW_FOR = 7 * DAY


@dataclass(frozen=True)
class Change:
    """One update of some issues, by whoever sent it."""

    call: Call
    issues: list[Issue]
    update: Update

    @property
    def _by(self) -> Member | None:
        return person(self.call, self.call.access)

    @property
    def _projects(self) -> int:
        return len({issue.project.id for issue in self.issues})

    def apply(self) -> Row:
        """Change the issues; gives what a bulk update answers: the fields sent, as they are now.

        Raises:
            ApiError: 400, for a release or a merge across projects.
        """
        sent, delta = self.update.given, dict(self.update.given)
        if "priority" in sent:
            self._prioritize(str(sent["priority"]))
        if self.update.status == "resolved":
            delta |= self._resolve()
        elif self.update.status == "ignored":
            delta |= self._ignore()
        elif self.update.status == "unresolved":
            delta |= self._reopen()
        if "assignedTo" in sent:
            delta["assignedTo"] = self._assign()
        self._look(sent)
        if "isSubscribed" in sent:
            delta["subscriptionDetails"] = self._subscribe(wanted=bool(sent["isSubscribed"]))
        if "isPublic" in sent:
            delta["shareId"] = self._publish(wanted=bool(sent["isPublic"]))
        if sent.get("merge") and len(self.issues) > 1:
            delta["merge"] = self._merge()
        if sent.get("inbox") is not None:
            self._review(reviewed=not sent["inbox"])
        self.call.world.changed()
        return delta

    def discard(self) -> None:
        """Delete the issues for good.

        Raises:
            ApiError: 400, for what is no error.
        """
        self._errors_only("discarded")
        for issue in self.issues:
            delete(self.call, issue)

    def _errors_only(self, what: str) -> None:
        if any(issue.category != "error" for issue in self.issues):
            raise ApiError(json_answer([f"Only error issues can be {what}."], status=400))

    def _note(self, issue: Issue, kind: str, data: Row | None = None) -> None:
        self.call.world.note(issue, kind, data, self._by)

    def _prioritize(self, priority: str) -> None:
        for issue in self.issues:
            if issue.priority != priority:
                issue.priority = priority
                self._note(issue, "set_priority", {"priority": priority, "reason": None})
            issue.priority_locked_at = self.call.world.seconds_now

    def _resolve(self) -> Row:
        kind, details, told, data = self._resolution()
        for issue in self.issues:
            if (issue.status, issue.status_details) != ("resolved", details):
                self._set(issue, "resolved", None, details)
                self._note(issue, kind, data)
            self._follow(issue, "changed_status")
        answer: Row = {"status": "resolved", "statusDetails": told, "inbox": None}
        if len(self.issues) == 1 and self.update.release_kind:
            answer["activity"] = activity(self.call, self.issues[0])
        return answer

    def _resolution(self) -> tuple[str, Row, Row, Row]:
        """The kind of activity, what the issue shows, what the answer tells, and what the activity tells."""
        kind, details = self.update.release_kind, self.update.details
        if (kind or details.commit) and self._projects > 1:
            raise bad_request("Cannot set resolved for multiple projects.")
        by = {"actor": user(self._by)} if self._by else {}
        if kind == "inRelease" and details.release:
            shown: Row = {kind: details.release.version, **by}
            return "set_resolved_in_release", shown, shown, {"version": details.release.version}
        if kind:
            current = details.release or newest_release(self.call.world, self.issues[0].project)
            data: Row = {"version": "", "current_release_version": current.version if current else None}
            return "set_resolved_in_release", {kind: True, **by}, {kind: True, **by}, data
        if commit := details.commit:
            name = commit.repository.name if commit.repository else ""
            told: Row = {"inCommit": {"commit": commit.sha, "repository": name}, **by}
            return "set_resolved_in_commit", {"inCommit": commit.sha, **by}, told, {"commit": commit.sha}
        return "set_resolved", {}, {}, {}

    def _ignore(self) -> Row:
        conditions = {name: value for name, value in self.update.details.conditions.items() if value}
        substatus = self.update.given.get("substatus")
        if not substatus:
            substatus = "archived_until_condition_met" if conditions else "archived_forever"
        details = self._snooze(conditions) if substatus != "archived_until_escalating" else {}
        for issue in self.issues:
            if issue.status != "ignored":
                self._set(issue, "ignored", str(substatus), details)
                self._note(
                    issue, "set_ignored", {"ignoreDuration": conditions.get("ignoreDuration"), **details}
                )
                self._follow_alone(issue)
            issue.status_details = details
        escalating = substatus == "archived_until_escalating"
        return {"statusDetails": {"ignoreUntilEscalating": True} if escalating else details, "inbox": None}

    def _snooze(self, conditions: dict[str, int]) -> Row:
        """Until when issues are ignored; the server names the conditions that were not set, too."""
        if not conditions:
            return {}
        minutes = conditions.get("ignoreDuration")
        until = None if minutes is None else stamp(self.call.world.seconds_now + 60 * minutes)
        return {
            "ignoreCount": conditions.get("ignoreCount"),
            "ignoreUntil": until,
            "ignoreUserCount": conditions.get("ignoreUserCount"),
            "ignoreUserWindow": conditions.get("ignoreUserWindow"),
            "ignoreWindow": conditions.get("ignoreWindow"),
            "actor": user(self._by) if self._by else None,
        }

    def _reopen(self) -> Row:
        for issue in self.issues:
            if issue.status != "unresolved":
                substatus = self.update.given.get("substatus") or self._open_substatus(issue)
                self._set(issue, "unresolved", str(substatus), {})
                self._note(issue, "set_unresolved")
                self._follow_alone(issue)
            issue.status_details = {}
        return {"statusDetails": {}}

    def _open_substatus(self, issue: Issue) -> str:
        """What an issue is after it was opened again by hand; among several it is always ongoing."""
        if len(self.issues) > 1:
            return "ongoing"
        if issue.status == "resolved":
            return "regressed"
        return "new" if issue.first_seen > self.call.world.seconds_now - NEW_FOR else "ongoing"

    @staticmethod
    def _set(issue: Issue, status: Status, substatus: str | None, details: Row) -> None:
        issue.status, issue.substatus, issue.status_details = status, substatus, details

    def _follow(self, issue: Issue, reason: str) -> None:
        """Whoever changes an issue is told of what happens to it."""
        if self.call.access.user_id:
            issue.subscribers.setdefault(self.call.access.user_id, reason)

    def _follow_alone(self, issue: Issue) -> None:
        if len(self.issues) == 1:
            self._follow(issue, "changed_status")

    def _assign(self) -> Row | None:
        who = self.update.assignee
        shown = actor(who)
        for issue in self.issues:
            if actor(issue.assignee) == shown:
                continue
            issue.assignee = who
            data: Row = (
                {"assignee": who.id, "assigneeEmail": who.email, "assigneeType": who.type} if who else {}
            )
            self._note(issue, "assigned" if who else "unassigned", data)
        return shown

    def _look(self, sent: Row) -> None:
        """What an update says of its user alone: seen, and bookmarked. A bot is in no team, so it sees nothing."""
        access, now = self.call.access, self.call.world.seconds_now
        for issue in self.issues:
            if sent.get("hasSeen") and access.kind == "user" and access.is_member(issue.project):
                issue.seen_by[access.user_id] = now
            elif sent.get("hasSeen") is False:
                issue.seen_by.pop(access.user_id, None)
            if sent.get("isBookmarked"):
                issue.bookmarked_by.add(access.user_id)
                self._follow(issue, "bookmarked")
            elif sent.get("isBookmarked") is False:
                issue.bookmarked_by.discard(access.user_id)
                issue.subscribers.pop(access.user_id, None)

    def _subscribe(self, *, wanted: bool) -> Row:
        for issue in self.issues:
            if wanted:
                issue.subscribers[self.call.access.user_id] = "unknown"
            else:
                issue.subscribers.pop(self.call.access.user_id, None)
        return {"reason": "unknown"}

    def _publish(self, *, wanted: bool) -> str | None:
        """Make share links, new ones where there were some; the answer tells the last."""
        for issue in self.issues:
            if issue.share_id:
                issue.share_id = None
                self._note(issue, "set_private")
            if wanted:
                issue.share_id = f"{SECRET}-share-{self.call.world.next_id('share')}"
                self._note(issue, "set_public")
        return self.issues[-1].share_id

    def _merge(self) -> Row:
        if self._projects > 1:
            raise bad_request("Merging across multiple projects is not supported")
        self._errors_only("merged")
        parent, *children = sorted(self.issues, key=lambda one: (one.times_seen, int(one.id)), reverse=True)
        for child in children:
            if self.call.switches.slow_endings:
                self.call.world.begin_merge(child, into=parent)
            else:
                self.call.world.merge(child, into=parent)
        return {"parent": parent.id, "children": [child.id for child in children]}

    def _review(self, *, reviewed: bool) -> None:
        for issue in self.issues:
            if reviewed and issue.needs_review:
                self._note(issue, "mark_reviewed")
            issue.needs_review = not reviewed


def person(call: Call, access: Access) -> Member | None:
    """Who sends a request: a member, or the bot of an integration, which is none."""
    if access.kind == "integration":
        created = call.world.organization.created
        return Member(
            "0", access.user_id, f"{access.user_id}@sentry.invalid", "Integration", "member", created
        )
    return next((one for one in call.world.members if one.user_id and one.user_id == access.user_id), None)


def delete(call: Call, issue: Issue) -> None:
    """Delete an issue, or only begin to, as the background task of a real server comes later."""
    if call.switches.slow_endings:
        call.world.begin_deletion(issue)
    else:
        call.world.delete_issue(issue)
