# SPDX-License-Identifier: GPL-3.0-or-later
"""Links to somebody else's file at every name that shelvefs and the engines' libraries use beside a database."""

import contextlib
import errno
import os
import pathlib
import subprocess

import pytest

import mounting
from test_users import NOBODY, needs_root

SECRET = b'secret of somebody else\n' * 400
# The first changes of a database use different files than those of one that was used before.
SUFFIXES = {'dumb': ['.bak', '.bak.new', '.dir.new'], 'sqlite': ['-wal', '-shm', '-journal']}


class Victim:
    """A file that nobody may touch; those who look at its time of access are not many."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(SECRET)
        os.chmod(path, 0o640)
        self.before = self.state()

    def state(self):
        found = os.stat(self.path)
        return (found.st_ino, found.st_uid, found.st_gid, found.st_mode, found.st_size, found.st_mtime_ns)

    def check(self):
        assert self.state() == self.before
        assert self.path.read_bytes() == SECRET


def names(database):
    """Whatever might be made beside it."""
    folder = pathlib.Path(database.path).parent
    for file in map(pathlib.Path, database.files):
        for middle in ('', '-journal', '-rescue', '.old'):
            yield folder / ('.%s.shelvefs%s' % (file.name, middle))
        yield folder / (file.name + '.~1~')
    yield database.sidecar
    yield pathlib.Path(str(database.sidecar) + '.old')
    for suffix in SUFFIXES.get(database.engine, []):
        yield pathlib.Path(database.path + suffix)


def plant(database, target, link):
    for name in set(names(database)):
        if os.path.lexists(name):
            os.unlink(name)
        link(target, name)


def save_refused(mount):
    with mounting.refused(errno.EINVAL):
        mount.save('list', '[1, ')


# Everything that writes.
STEPS = [lambda mount: mount.save('list', '[1]\n'), lambda mount: mount.save('new', '(2,)\n'),
         lambda mount: os.rename(mount / 'new', mount / 'newer'), lambda mount: os.unlink(mount / 'greeting'),
         lambda mount: mount.save('.list.swp', 'swap'), lambda mount: os.chmod(mount / 'dict', 0o600), save_refused,
         lambda mount: [mount.save('number', '%d\n' % number) for number in range(150)]]


def use(mount):
    """What is refused is refused."""
    for step in STEPS:
        with contextlib.suppress(OSError):
            step(mount)


def is_refused(database, directory, *options):
    """Whether it can't be mounted; the line that says why."""
    try:
        mounting.Mount(database.path, directory, *options).start().stop()
    except mounting.MountFailed as failure:
        assert failure.status in (3, 4), failure
        return failure.log
    return None


@pytest.mark.parametrize('link', [os.symlink, os.link], ids=['symbolic', 'hard'])
def test_planted_links(mounter, database, tmp_path, link):
    victim = Victim(tmp_path / 'victim')
    plant(database, victim.path, link)
    if database.engine == 'sqlite':  # it would write to what has a second name
        assert 'move it away' in is_refused(database, tmp_path / 'refused')
        for suffix in SUFFIXES['sqlite']:
            os.unlink(database.path + suffix)
    mount = mounter(database)
    use(mount)
    mount.kill()
    victim.check()
    mount.start()
    use(mount)
    assert database.value('number') == 149 and database.value('list') == [1]
    assert not mount.stop()
    victim.check()
    database.verify()
    # The database's own files never became anybody else's, and nobody may use them who might not before.
    modes = {os.stat(path).st_mode & 0o777 for path in database.files}
    for path in pathlib.Path(database.path).parent.iterdir():
        if path.is_file() and not path.is_symlink() and path.stat().st_nlink == 1 and path.name.startswith(('.shelf', 'shelf')):
            assert path.stat().st_mode & 0o777 & ~max(modes) == 0, path


def plant_fifo(path):
    os.mkfifo(path, 0o666)


def plant_directory(path):
    path.mkdir(mode=0o777)
    (path / 'papers').write_bytes(SECRET)
    os.chown(path / 'papers', NOBODY, NOBODY)


def plant_file(path):
    path.write_bytes(SECRET)
    os.chmod(path, 0o666)


def planted_state(path):
    found = os.lstat(path)
    content = path.read_bytes() if path.is_file() else os.listdir(path) if path.is_dir() else None
    return found.st_ino, found.st_uid, found.st_mode, found.st_nlink, found.st_mtime_ns, content


@needs_root
@pytest.mark.parametrize('engine', ['dumb', 'gdbm', 'sqlite'], indirect=True)  # ndbm has what gdbm has, and tdb nothing but a sidecar
@pytest.mark.parametrize('plant_one', [plant_fifo, plant_directory, plant_file])
def test_planted_by_another_user(mounter, database, tmp_path, plant_one):
    """In a directory that everybody may write to, as /tmp is: nothing of theirs is used, waited for or changed."""
    os.chmod(tmp_path, 0o1777)
    planted = sorted(set(names(database)))
    for path in planted:
        if os.path.lexists(path):
            os.unlink(path)
        plant_one(path)
        os.chown(path, NOBODY, NOBODY)
    before = [planted_state(path) for path in planted]
    if database.engine == 'sqlite':
        assert 'move it away' in is_refused(database, tmp_path / 'refused')
    for path in [pathlib.Path(database.path + suffix) for suffix in SUFFIXES.get(database.engine, [])]:
        assert planted_state(path) == before.pop(planted.index(path))
        planted.remove(path)
        if database.engine == 'sqlite':
            subprocess.run(['rm', '-r', str(path)], check=True)  # else the name gets a file of ours
    mount = mounter(database)
    assert '%s is not used: ' % database.sidecar in mount.log
    for step in STEPS:
        step(mount)
    assert not mount.stop()
    assert [planted_state(path) for path in planted] == before
    assert database.value('list') == [1] and database.value('newer') == (2,)
    database.verify()


@pytest.mark.parametrize('engine', ['gdbm'], indirect=True)
def test_a_rescue_in_a_planted_directory(new_database, tmp_path):
    """A file that needs recovery, and another directory under the name of the one that it is recovered in."""
    database = new_database().create((b'key %d' % key, b'N.') for key in range(100))
    os.truncate(database.path, os.stat(database.path).st_size + 4096)
    folder = tmp_path / 'important'
    folder.mkdir(mode=0o700)
    (folder / 'papers').write_bytes(SECRET)
    rescue = tmp_path / ('.%s.shelvefs-rescue' % pathlib.Path(database.path).name)
    for plant_it in (lambda: os.symlink(folder, rescue), lambda: (os.unlink(rescue), os.rename(folder, rescue))):
        plant_it()
        assert 'moved away: %s beside it\n' % rescue.name in is_refused(database, tmp_path / 'mnt')
        assert (rescue / 'papers').read_bytes() == SECRET and os.listdir(rescue) == ['papers']
    os.unlink(rescue / 'papers')
    assert not is_refused(database, tmp_path / 'mnt')
    assert not rescue.exists() and len(database.keys()) == 100


@needs_root
@pytest.mark.parametrize('engine', ['dumb'], indirect=True)
def test_an_index_that_leads_elsewhere(mounter, new_database, tmp_path):
    """It is found by name; a user's link there must not have root read or write what the user may not."""
    database = new_database().create([(b'key', b'N.')])
    victim = tmp_path / 'victim'
    victim.write_text("'key', (0, 2)\n")
    for suffix in ('.dir', '.bak'):
        os.unlink(database.path + suffix)
    for suffix in ('.bak', '.dir'):
        os.symlink(victim, database.path + suffix)
        os.lchown(database.path + suffix, NOBODY, NOBODY)
        assert is_refused(database, tmp_path / 'mnt', 'store=dumb')
        assert victim.read_text() == "'key', (0, 2)\n"
    # It may be root's link, or lead to a file of who made it.
    os.lchown(database.path + '.dir', 0, 0)
    mount = mounter(database)
    mount.save('key', '[1]\n')
    mount.save('new', '[1]\n')
    assert "'new', (1024," in victim.read_text()
