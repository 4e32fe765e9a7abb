# SPDX-License-Identifier: GPL-3.0-or-later
"""What outlasts the mount: times and modes, in the sidecar beside the database."""

import os
import pickle
import stat
import subprocess

import pytest

from mounting import Mount, eventually, sh

KEYS = int(os.environ.get('SHELVEFS_KEYS', '10000'))


def with_keys(database, count):
    """A shelve with many keys, and some odd ones among them."""
    pairs = [(b'key %d' % i, pickle.dumps([i, 'x' * (i % 50)], 4)) for i in range(count - 3)]
    pairs += [(b'with/slash', pickle.dumps('text', 4)), (b'\xff\n', pickle.dumps(b'\xff', 4)), (b'', pickle.dumps({}, 4))]
    return database.create(pairs)


@pytest.fixture
def many(new_database):
    return with_keys(new_database(), 1000)


def change_by_python(database):
    """As a program does while the mount is away."""
    database.put('key 500', 'changed')
    database.put('added', 'new')


def itemized(source, target, cwd, *options):
    """The files that rsync sends."""
    lines = sh('rsync -a %s --itemize-changes %s/ %s/' % (' '.join(options), source, target), cwd).stdout.splitlines()
    return sorted(line.split(' ', 1)[1] for line in lines if line[:2] == '>f')


def times(mount):
    return {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(os.fsencode(mount.directory))}


def test_rsync_sends_what_changed(new_database, engine, mounter, tmp_path):
    # Engines differ in the order of keys and in what tells of a change; what happens to so many is the sidecar's affair.
    count = KEYS if engine in ('dumb', 'tdb') else min(KEYS, 1000)
    many = with_keys(new_database(), count)
    mount = mounter(many)
    assert len(itemized(mount.directory, 'backup', tmp_path)) == count
    assert mount.stop() == []
    change_by_python(many)
    mount.start()
    assert itemized(mount.directory, 'backup', tmp_path) == ['added', 'key 500']
    assert itemized(mount.directory, 'backup', tmp_path) == []
    mount.remount()
    assert itemized(mount.directory, 'backup', tmp_path) == []
    mount.remount('ro')
    assert itemized(mount.directory, 'backup', tmp_path) == []
    # Content agrees, too, not only what rsync looks at.
    assert itemized(mount.directory, 'backup', tmp_path, '--checksum') == []


def test_cp_and_tar_send_what_changed(many, mounter, tmp_path):
    mount = mounter(many)
    # The kernel numbers FUSE mounts as they come, whatever is mounted in between; `man tar` names the option for that.
    incremental = 'tar -C %s --no-check-device --listed-incremental=state' % mount.directory
    sh('cp -au %s/. copy' % mount.directory, tmp_path)
    sh(incremental + ' -cf full.tar .', tmp_path)
    assert mount.stop() == []
    change_by_python(many)
    mount.start()
    copied = sh('cp -auv %s/. copy' % mount.directory, tmp_path).stdout.splitlines()
    assert sorted(line.split(' -> ')[1].strip("'") for line in copied) == ['copy/./added', 'copy/./key 500']
    assert sh('cp -auv %s/. copy' % mount.directory, tmp_path).stdout == ''
    for expected in (['./added', './key 500'], []):
        sh(incremental + ' -cf more.tar .', tmp_path)
        names = sh('tar -tf more.tar', tmp_path).stdout.splitlines()
        assert sorted(name for name in names if not name.endswith('/')) == expected


@pytest.mark.parametrize('restore', ['rsync -a backup/ {}/', 'tar -C {} -xpf backup.tar', 'cp -a backup/. {}/'],
                         ids=['rsync', 'tar', 'cp'])
def test_restoring_keeps_times_modes_and_owners(database, new_database, mounter, tmp_path, restore):
    mount = mounter(database)
    sh('rsync -a %s/ backup/' % mount.directory, tmp_path)
    for i, name in enumerate(sorted(os.listdir(tmp_path / 'backup'))):
        os.chmod(tmp_path / 'backup' / name, [0o600, 0o644, 0o640, 0o400][i % 4])
        os.utime(tmp_path / 'backup' / name, ns=(0, 1234567890123456789 + i * 10 ** 9))
        if os.geteuid() == 0:  # else all are ours, as they will be
            os.chown(tmp_path / 'backup' / name, [0, 1234, 1234, 0][i % 4], [0, 4321][i % 2])
    sh('tar -C backup --format=posix -cf backup.tar .', tmp_path)
    restored = new_database('restored')
    other = mounter(restored, 'create,store=' + restored.engine)
    sh(restore.format(other.directory), tmp_path)
    for _ in range(2):
        for name in os.listdir(tmp_path / 'backup'):
            kept, wanted = (other / name).stat(), (tmp_path / 'backup' / name).stat()
            assert (name, kept.st_mtime_ns, kept.st_mode, kept.st_uid, kept.st_gid) == \
                (name, wanted.st_mtime_ns, wanted.st_mode, wanted.st_uid, wanted.st_gid)
        assert itemized('backup', other.directory, tmp_path) == []
        other.remount()
    assert other.stop() == []
    assert restored.records() == database.records()


def test_rsync_back_restores_exactly(many, mounter, tmp_path):
    before = many.records()
    mount = mounter(many)
    sh('rsync -a %s/ backup/' % mount.directory, tmp_path)
    assert mount.stop() == []
    change_by_python(many)
    many.delete('key 7')
    mount.start()
    sh('rsync -a --delete backup/ %s/' % mount.directory, tmp_path)
    assert mount.stop() == []
    assert many.records() == before


def test_made_on_first_need(database, mounter):
    mount = mounter(database)
    mount.remount('ro')
    (mount / 'list').stat()
    assert mount.stop() == []
    assert not database.sidecar.exists()
    mount.options = ()
    mount.start()
    (mount / 'list').stat()
    assert mount.stop() == []
    made, of = database.sidecar.stat(), os.stat(database.files[-1])
    assert (made.st_mode, made.st_uid, made.st_gid) == (of.st_mode, of.st_uid, of.st_gid)


def test_none_and_elsewhere(database, mounter, tmp_path):
    mount = mounter(database, 'sidecar=none')
    os.chmod(mount / 'list', 0o640)
    os.utime(mount / 'list', (1000, 1000))
    mount.remount('sidecar=' + str(tmp_path / 'elsewhere'))
    assert (mount / 'list').stat().st_mtime != 1000
    os.utime(mount / 'list', (1000, 1000))
    mount.remount()
    assert (mount / 'list').stat().st_mtime == 1000
    assert mount.stop() == []
    assert not database.sidecar.exists()
    assert (tmp_path / 'elsewhere').exists()


def test_read_only_mounts_read_it(database, mounter):
    mount = mounter(database)
    os.utime(mount / 'list', ns=(5, 1111111111222222222))
    os.chmod(mount / 'list', 0o640)
    noted = (mount / 'list').stat().st_ctime_ns
    mount.remount('ro')
    before = database.sidecar.read_bytes()
    found = (mount / 'list').stat()
    assert found.st_ctime_ns == noted > found.st_mtime_ns
    assert (found.st_mtime_ns, found.st_atime_ns) == (1111111111222222222, 5)
    assert stat.S_IMODE(found.st_mode) == 0o440
    assert mount.stop() == []
    assert database.sidecar.read_bytes() == before


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can be somebody else')
def test_creators_are_kept(database, mounter, tmp_path):
    """A new key belongs to who made it, also at the next mount; where that is the database's owner, it follows the database."""
    for path in (*database.files, tmp_path):
        os.chmod(path, 0o777 if path == tmp_path else 0o666)
    mount = mounter(database, 'allow_other')
    sh('setpriv --reuid=1234 --regid=4321 --clear-groups sh -c "echo theirs > theirs"', mount.directory)
    mount.save('ours', 'ours\n')
    for _ in range(2):
        theirs, ours = (mount / 'theirs').stat(), (mount / 'ours').stat()
        assert (theirs.st_uid, theirs.st_gid) == (1234, 4321)
        assert (ours.st_uid, ours.st_gid) == (os.getuid(), os.getgid())
        mount.remount()
    assert mount.stop() == []
    for path in database.files:
        os.chown(path, 1111, 2222)
    mount.start()
    assert (mount / 'theirs').stat().st_uid == 1234
    assert (mount / 'ours').stat().st_uid == 1111
    assert mount.stop() == []
    assert database.sidecar.stat().st_uid == 1111


def test_it_goes_with_the_database(database, mounter, tmp_path, engine, new_database):
    """A copy with its sidecar, and a backup that was put back, are the same database; another one under the same name is not."""
    mount = mounter(database)
    os.utime(mount / 'list', (1000, 1000))
    assert mount.stop() == []
    copy = new_database('other')
    for old, new in zip([*database.files, database.sidecar], [*copy.files, copy.sidecar]):
        sh('cp -p %s %s' % (old, new), tmp_path)
    mount = mounter(copy)
    assert (mount / 'list').stat().st_mtime == 1000
    assert mount.stop() == []
    for path in copy.files:
        os.unlink(path)
    copy.create([(b'list', pickle.dumps('another', 4))])
    mount.start()
    assert (mount / 'list').stat().st_mtime > 1000
    assert mount.stop() == []
    assert copy.sidecar.with_name(copy.sidecar.name + '.old').exists() == ('another database' in mount.log)


@pytest.mark.parametrize('damage', ['torn', 'garbage', 'byte', 'link', 'directory'])
def test_damaged_or_planted(database, mounter, tmp_path, damage):
    mount = mounter(database)
    os.utime(mount / 'list', (1000, 1000))
    assert mount.stop() == []
    path = database.sidecar
    content = path.read_bytes()
    victim = tmp_path / 'victim'
    victim.write_bytes(b'not yours')
    if damage == 'torn':
        path.write_bytes(content[:content.index(b'times/') + 10])
    elif damage == 'garbage':
        path.write_bytes(os.urandom(len(content)))
    elif damage == 'byte':
        at = content.index(b'times/') + 30
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1:])
    else:
        path.unlink()
        (path.symlink_to(victim) if damage == 'link' else path.mkdir())
    mount.start()
    assert mount.text('list') == '[1, 2, 3]\n'
    mount.save('list', '[4]\n')
    os.utime(mount / 'list', (2000, 2000))
    mount.remount()
    assert mount.text('list') == '[4]\n'
    assert victim.read_bytes() == b'not yours'
    assert str(path) in mount.log
    kept = damage not in ('link', 'directory')
    assert ((mount / 'list').stat().st_mtime == 2000) == kept
    assert path.is_symlink() == (damage == 'link')
    assert mount.stop() == []
    assert database.value('list') == [4]


@pytest.mark.parametrize('engine', ['gdbm', 'ndbm', 'sqlite', 'tdb'], indirect=True)  # a second mount of dumb is refused
def test_two_mounts(database, mounter):
    """The first that has something to keep does so for the next mount; the second for itself."""
    first, second = mounter(database), mounter(database)
    os.utime(first / 'list', (1000, 1000))
    eventually(database.sidecar.exists)
    os.utime(second / 'greeting', (2000, 2000))
    second.save('number', '43\n')
    assert first.text('number') == '43\n'
    assert first.stop() == []
    assert (second / 'greeting').stat().st_mtime == 2000
    assert second.stop() == []
    assert (first.log + second.log).count('another mount of this database') == 1
    third = mounter(database, 'ro')
    assert (third / 'list').stat().st_mtime == 1000
    assert third.text('number') == '43\n'


def test_mounted_again_at_once(database, mounter):
    """fusermount3 does not wait for the process: the next mount waits for what that still writes."""
    mount = mounter(database)
    for i in range(5):
        os.utime(mount / 'list', (1000 + i, 1000 + i))
        subprocess.run(['fusermount3', '-u', str(mount.directory)], check=True)
        following = mounter(database)
        assert (following / 'list').stat().st_mtime == 1000 + i
        assert 'in use' not in following.log
        mount = following


class FailingMount(Mount):
    """What it writes to the sidecar's file fails."""

    def command(self):
        sanitizer = os.environ.get('ASAN_OPTIONS', '') + ':detect_leaks=0'
        return ['strace', '-f', '-o', os.devnull, '-E', 'ASAN_OPTIONS=' + sanitizer, '-P', str(self.sidecar),
                '-e', 'inject=pwrite64,fsync,fdatasync:error=EIO:when=%s' % self.when, *super().command()]


@pytest.mark.parametrize('when', ['1+', '2+3', '5'])
def test_failing_writes(database, mounter, tmp_path, when):
    """Saves work, and what could not be kept is said once at a time."""
    mount = mounter(database)
    os.utime(mount / 'list', (1000, 1000))
    assert mount.stop() == []
    failing = FailingMount(database.path, tmp_path / 'failing')
    failing.sidecar, failing.when = database.sidecar, when
    failing.start()
    try:
        for i in range(3):
            failing.save('number', '%d\n' % i)
            (failing / 'list~').write_text('[%d]\n' % i)
            os.utime(failing / 'dict', (i, i))
            assert (failing / 'dict').stat().st_mtime == i
            assert failing.text('list~') == '[%d]\n' % i
    finally:
        problems = failing.stop()
    assert problems == []
    assert database.value('number') == 2
    mount.start()
    assert mount.text('list') == '[1, 2, 3]\n'
    assert mount.text('number') == '2\n'


def test_killed(mount, database):
    """Times reach the file within seconds; a kill at any moment leaves it whole, and values as saved."""
    os.utime(mount / 'list', (1000, 1000))
    eventually(database.sidecar.exists)
    mount.kill()
    mount.start()
    assert (mount / 'list').stat().st_mtime == 1000
    for i in range(10):
        mount.save('number', '%d\n' % i)
        os.utime(mount / 'list', (i, i))
        mount.kill()
        assert database.value('number') == i
        mount.start()
        assert mount.text('number') == '%d\n' % i
    assert '.old' not in mount.log
