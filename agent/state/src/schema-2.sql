-- Schema 2. What a console knows of the inventory, and what it has yet to hear.

CREATE TABLE reported (
    path   BLOB PRIMARY KEY,
    digest BLOB NOT NULL
) WITHOUT ROWID;

-- A path is in here once, under the number of its last change.
CREATE TABLE unreported (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    path BLOB NOT NULL UNIQUE
);
INSERT INTO unreported (path) SELECT path FROM artifacts ORDER BY path;

CREATE TRIGGER artifact_to_report AFTER INSERT ON artifacts BEGIN
    DELETE FROM unreported WHERE path = new.path;
    INSERT INTO unreported (path) VALUES (new.path);
END;
CREATE TRIGGER artifact_to_report_anew AFTER UPDATE OF sha256, size, artifact, decision ON artifacts
WHEN old.sha256 IS NOT new.sha256 OR old.size <> new.size OR old.artifact <> new.artifact
     OR old.decision IS NOT new.decision BEGIN
    DELETE FROM unreported WHERE path = new.path;
    INSERT INTO unreported (path) VALUES (new.path);
END;
-- Nobody needs to hear that something went of which nobody heard.
CREATE TRIGGER artifact_to_report_gone AFTER DELETE ON artifacts BEGIN
    DELETE FROM unreported WHERE path = old.path;
    INSERT INTO unreported (path) SELECT path FROM reported WHERE path = old.path;
END;
