# SPDX-License-Identifier: GPL-3.0-or-later
"""Links to somebody else's file at every name that shelvefs and the engines' libraries use beside a database."""

import os
import pathlib

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


def use(mount):
    """Everything that writes; what is refused is refused."""
    for step in (lambda: mount.save('list', '[1]\n'), lambda: mount.save('new', '(2,)\n'), lambda: os.rename(mount / 'new', mount / 'newer'),
                 lambda: os.unlink(mount / 'newer'), lambda: mount.save('.list.swp', 'swap'), lambda: os.chmod(mount / 'dict', 0o600),
                 lambda: mount.save('list', '[1, '), lambda: [mount.save('number', '%d\n' % number) for number in range(150)]):
        try:
            step()
        except OSError:
            pass


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
        assert is_refused(database, tmp_path / 'mnt')
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
