# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup and restore by rsync, and saves that change nothing, on databases that several CPythons wrote."""

import os
import shutil
import time

import pytest

from mounting import eventually, file_name, sh


def test_backup_and_restore(written, shelve, new_database, mounter, tmp_path):
    mount = mounter(shelve)
    sh('rsync -a %s/ %s/backup/' % (mount.directory, tmp_path), tmp_path)
    assert shelve.records() == written.records  # looking changes nothing

    restored = new_database('restored')
    python2 = ',python2' if written.version < (3,) else ''
    other = mounter(restored, 'create,store=%s,protocol=%d%s,globals=any' % (restored.engine, written.protocol, python2))
    sh('rsync -a backup/ %s/' % other.directory, tmp_path)
    sh('diff -r %s %s' % (mount.directory, other.directory), tmp_path)
    assert other.stop() == []

    records = restored.records()
    assert written.problems(records, str(tmp_path / 'restored.pairs')).strip() == ''
    assert len(written.exact) > 200
    wrong = [(key, records[key][:200], value[:200]) for key, value in written.exact.items() if records[key] != value]
    assert not wrong, '%d differ: %r' % (len(wrong), wrong[:5])


def test_a_copy_with_attributes(database, new_database, mounter, tmp_path):
    """The type, codec and key that a copy brings along change nothing, and are no error."""
    mount, other = mounter(database), mounter(new_database('other'), 'create,globals=any')
    for options in '-aAX', '-aAX --ignore-times':
        sh('rsync %s %s/ %s/' % (options, mount.directory, other.directory), tmp_path)
        sh('diff -r %s %s' % (mount.directory, other.directory), tmp_path)
    path = other / os.listdir(other.directory)[0]
    before = os.getxattr(path, 'user.shelvefs.type')
    os.setxattr(path, 'user.shelvefs.type', b'other')
    os.removexattr(path, 'user.shelvefs.type')
    assert os.getxattr(path, 'user.shelvefs.type') == before


def test_second_backup_sends_nothing(database, mounter, tmp_path):
    mount = mounter(database)
    sh('rsync -a %s/ backup/' % mount.directory, tmp_path)
    assert sh('rsync -ai %s/ backup/' % mount.directory, tmp_path).stdout == ''
    mount.save('greeting', 'changed\n')
    changed = sh('rsync -ai %s/ backup/' % mount.directory, tmp_path).stdout
    assert [line.split()[1] for line in changed.splitlines()] == ['greeting']
    assert (tmp_path / 'backup/greeting').read_text() == 'changed\n'


@pytest.mark.parametrize('engine', ['dumb', 'sqlite'], indirect=True)  # the others map the file: on a tmpfs its time stays
def test_a_change_of_the_same_size_is_sent(database, mounter, tmp_path):
    """Another program's: only its time tells. With SQLite it is in the -wal file, and the database's own time is old."""
    mount = mounter(database)
    sh('rsync -a %s/ backup/' % mount.directory, tmp_path)
    time.sleep(1.1)  # rsync looks at whole seconds
    database.put('greeting', 'HELLO')
    eventually(lambda: mount.text('greeting') == 'HELLO\n')
    sh('rsync -a %s/ backup/' % mount.directory, tmp_path)
    assert (tmp_path / 'backup/greeting').read_text() == 'HELLO\n'


def test_rsync_updates_in_place_and_deletes(database, mounter, tmp_path):
    mount = mounter(database)
    sh('rsync -a %s/ backup/' % mount.directory, tmp_path)
    (tmp_path / 'backup/greeting').write_text('from the backup\n')
    (tmp_path / 'backup/list').unlink()
    (tmp_path / 'backup/new').write_text("{'new': 1}\n")
    sh('rsync -a --delete backup/ %s/' % mount.directory, tmp_path)
    assert database.value('greeting') == 'from the backup'
    assert database.value('new') == {'new': 1}
    assert b'list' not in database.keys()
    (tmp_path / 'backup/greeting').write_text('once more\n')
    sh('rsync -a --inplace backup/ %s/' % mount.directory, tmp_path)
    assert database.value('greeting') == 'once more'
    assert database.keys() == {name.encode() for name in os.listdir(mount.directory)}


def save_by_rewriting(path, text):
    with open(path, 'wb') as file:
        file.write(text)


def save_by_pieces(path, text):
    """As `sed` and shells with a small buffer do: truncated first, then many writes."""
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
    for start in range(0, len(text), 4096):
        os.write(descriptor, text[start:start + 4096])
    os.close(descriptor)


def save_by_renaming(path, text):
    temporary = os.path.join(os.path.dirname(path), b'sedQ1w2E3')
    with open(temporary, 'wb') as file:
        file.write(text)
    os.rename(temporary, path)


def save_without_truncating(path, text):
    with open(path, 'r+b') as file:
        file.write(text)


def test_saving_what_is_there_changes_nothing(written, shelve, mounter):
    mount = mounter(shelve)
    before = shelve.records()
    for save in (save_by_rewriting, save_by_pieces, save_by_renaming, save_without_truncating):
        for key in before:
            path = os.path.join(os.fsencode(mount.directory), file_name(key))
            with open(path, 'rb') as file:
                text = file.read()
            save(path, text)
            os.utime(path)
        after = shelve.records()
        assert set(after) == set(before)
        wrong = [(key, after[key][:200], before[key][:200]) for key in before if after[key] != before[key]]
        assert not wrong, '%s: %d differ: %r' % (save.__name__, len(wrong), wrong[:5])


def test_touching_and_copying_changes_nothing(written, shelve, mounter, tmp_path):
    mount = mounter(shelve)
    sh("find . -type f -exec touch {} +", mount.directory)
    assert shelve.records() == written.records
    sh('cp -r . %s/copy && cp -r %s/copy/. .' % (tmp_path, tmp_path), mount.directory)
    assert shelve.records() == written.records
    shutil.rmtree(tmp_path / 'copy')
