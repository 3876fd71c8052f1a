"""What an API server answers to TokenReview and SubjectAccessReview: tokens, and RBAC for paths."""

import fnmatch


class Reviewer:
    """`users`: token → user (username, groups …); `rules`: (group, verb, path or path*)."""

    def __init__(self, users, rules):
        self.users = users
        self.rules = rules
        self.asked = []  # specs, as they came

    def answer(self, path, review):
        spec = review["spec"]
        self.asked.append(spec)
        assert review["apiVersion"] == path.removeprefix("/apis/").rpartition("/")[0]
        if path == "/apis/authentication.k8s.io/v1/tokenreviews":
            assert review["kind"] == "TokenReview"
            user = self.users.get(spec["token"])
            status = {"authenticated": True, "user": user} if user else {"error": "not known"}
            return {**review, "status": status}
        assert path == "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        assert review["kind"] == "SubjectAccessReview"
        return {**review, "status": {"allowed": self._is_allowed(spec)}}

    def _is_allowed(self, spec):
        wanted = spec["nonResourceAttributes"]
        return any(
            group in spec["groups"]
            and verb == wanted["verb"]
            and fnmatch.fnmatchcase(wanted["path"], path)
            for group, verb, path in self.rules
        )
