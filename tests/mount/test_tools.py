# SPDX-License-Identifier: GPL-3.0-or-later
"""Tools that change, compare and watch files; while they change one, another process must never see it missing or half written."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from mounting import eventually, sh, watched

# What is there: greeting 'hello', text 'one\ntwo\nthree\n' (shown with one more newline), list [1, 2, 3].
TEXT = 'one\ntwo\nthree\n'

# Name: command, its key, the new value; None where the tool itself takes the old file away before it writes 'goodbye'.
CHANGES = {
    'ed': (r"printf '1s/hello/goodbye/\nw\nq\n' | ed -s greeting", 'greeting', 'goodbye'),
    'sed -i': ('sed -i s/hello/goodbye/ greeting', 'greeting', 'goodbye'),
    'sed -i --follow-symlinks': ('sed -i --follow-symlinks s/hello/goodbye/ greeting', 'greeting', 'goodbye'),
    'sed -i~': ('sed -i~ s/hello/goodbye/ greeting', 'greeting', 'goodbye'),
    'perl -i': ('perl -pi -e s/hello/goodbye/ greeting', 'greeting', 'goodbye'),
    'perl -i~': ('perl -pi~ -e s/hello/goodbye/ greeting', 'greeting', 'goodbye'),
    'sponge': ('sed s/hello/goodbye/ greeting | sponge greeting', 'greeting', 'goodbye'),
    'sort -o': ('sort -r -o text text', 'text', 'two\nthree\none\n'),
    'shuf -o': ('shuf -n 1 -e goodbye -o greeting', 'greeting', 'goodbye'),
    'install': ('echo goodbye > ../new; install -m 640 ../new greeting', 'greeting', None),  # it unlinks the old file first
    'install -b': ('echo goodbye > ../new; install -b ../new greeting', 'greeting', 'goodbye'),
    'cp': ('echo goodbye > ../new; cp ../new greeting', 'greeting', 'goodbye'),
    'cp -a': ('echo goodbye > ../new; cp -a ../new greeting', 'greeting', 'goodbye'),
    'cp -b': ('echo goodbye > ../new; cp -b ../new greeting', 'greeting', 'goodbye'),
    'cp -u': ('echo goodbye > ../new; touch -d 2100-01-01 ../new; cp -u ../new greeting', 'greeting', 'goodbye'),
    'mv from elsewhere': ('echo goodbye > ../new; mv ../new greeting', 'greeting', None),  # likewise
    'mv to elsewhere and back': ('mv greeting ../out && sed -i s/hello/goodbye/ ../out && mv ../out greeting', 'greeting', None),
    'mv': ('echo goodbye > new; mv new greeting', 'greeting', 'goodbye'),
    'mv -b': ('echo goodbye > new; mv -b new greeting', 'greeting', 'goodbye'),
    'mv -n': ('echo goodbye > new; mv -n new greeting; rm new', 'greeting', 'hello'),
    'cp -n': ('echo goodbye > ../new; cp -n ../new greeting; true', 'greeting', 'hello'),
    'mktemp and mv': ('t=$(mktemp ./greeting.XXXXXX) && echo goodbye > $t && mv $t greeting', 'greeting', 'goodbye'),
    'truncate': ('truncate -s 4 text', 'text', 'one'),
    'truncate to more': ('truncate -s +2 greeting', 'greeting', 'hello\n\0\0'),
    'fallocate': ('fallocate -l 10 greeting; true', 'greeting', 'hello'),  # can't be
    'dd': ('printf goodbye | dd of=greeting status=none', 'greeting', 'goodbye'),
    'dd conv=notrunc': ('printf TWO | dd of=text bs=1 seek=4 conv=notrunc status=none', 'text', 'one\nTWO\nthree\n'),
    'dd oflag=append': ('echo four | dd of=text oflag=append conv=notrunc status=none', 'text', TEXT + '\nfour'),
    'dd oflag=sync': ('printf TWO | dd of=text bs=3 seek=4 oflag=seek_bytes,sync conv=notrunc,fsync status=none', 'text', 'one\nTWO\nthree\n'),
    '>': ('echo goodbye > greeting', 'greeting', 'goodbye'),
    '>>': ('echo again >> greeting', 'greeting', 'hello\nagain'),
    '1<>': ('printf JELLO 1<> greeting', 'greeting', 'JELLO'),
    'tee': ('echo goodbye | tee greeting', 'greeting', 'goodbye'),
    'tee -a': ('echo again | tee -a greeting', 'greeting', 'hello\nagain'),
    'patch': (r"printf -- '--- a/greeting\n+++ b/greeting\n@@ -1 +1 @@\n-hello\n+goodbye\n' | patch -p1", 'greeting', 'goodbye'),
    'patch -b': (r"printf -- '--- a/greeting\n+++ b/greeting\n@@ -1 +1 @@\n-hello\n+goodbye\n' | patch -b -V t -p1; rm greeting.~1~",
                 'greeting', 'goodbye'),
    'rsync': ('echo goodbye > ../greeting; rsync -a ../greeting .', 'greeting', 'goodbye'),
    'rsync --inplace': ('echo goodbye > ../greeting; rsync -a --inplace ../greeting .', 'greeting', 'goodbye'),
    'rsync --append': ('(cat greeting; echo again) > ../greeting; rsync -a --append ../greeting .', 'greeting', 'hello\nagain'),
    'rsync --backup': ('echo goodbye > ../greeting; rsync -a --backup ../greeting .', 'greeting', 'goodbye'),
    'rsync --delay-updates': ('echo goodbye > ../greeting; rsync -a --delay-updates ../greeting .', 'greeting', 'goodbye'),
    'rsync --partial-dir': ('echo goodbye > ../greeting; rsync -a --partial-dir=.rsync-partial ../greeting .', 'greeting', 'goodbye'),
    'rsync --temp-dir inside': ('echo goodbye > ../greeting; rsync -a --temp-dir=. ../greeting .', 'greeting', 'goodbye'),
    'rsync --temp-dir elsewhere': ('mkdir ../t; echo goodbye > ../greeting; rsync -a --temp-dir=$(realpath ../t) ../greeting .', 'greeting', None),  # likewise
    'tar': ('echo goodbye > ../greeting; tar -c -C .. greeting | tar -x --overwrite', 'greeting', 'goodbye'),
    'gio save': ('echo goodbye | gio save "$PWD/greeting"', 'greeting', 'goodbye'),
    'gio save --backup': ('echo goodbye | gio save -b "$PWD/greeting"', 'greeting', 'goodbye'),
    'gio copy': ('echo goodbye > ../new; gio copy "$PWD/../new" "$PWD/greeting"', 'greeting', 'goodbye'),
    'pathlib': ('''python3 -c "import pathlib; pathlib.Path('greeting').write_text('goodbye')"''', 'greeting', 'goodbye'),
    'os.replace': ('''python3 -c "import os; open('greeting.new', 'w').write('goodbye'); os.replace('greeting.new', 'greeting')"''',
                   'greeting', 'goodbye'),
    'tempfile': ('''python3 -c "import os, tempfile
with tempfile.NamedTemporaryFile('w', dir='.', delete=False) as file: file.write('goodbye')
os.replace(file.name, 'greeting')"''', 'greeting', 'goodbye'),
    'mmap': ('''python3 -c "import mmap
with open('text', 'r+b') as file, mmap.mmap(file.fileno(), 0) as mapped: mapped[4:7] = b'TWO'"''', 'text', 'one\nTWO\nthree\n'),
    'fileinput': ('''python3 -c "import fileinput
for line in fileinput.input('greeting', inplace=True): print('goodbye')"''', 'greeting', None),  # it writes after it has renamed
}


@pytest.mark.parametrize('name', CHANGES)
def test_changing(mount, database, name):
    command, key, value = CHANGES[name]
    keys = database.keys()
    if value is None:
        sh(command, mount.directory)
        value = 'goodbye'
    else:
        with watched(database, key, database.values[key], value):
            sh(command, mount.directory)
    assert database.value(key) == value
    mount.remount()
    assert {other for other in database.keys() if not other.endswith(b'~')} == keys
    assert database.value(key) == value
    assert {other: database.value(other) for other in set(database.values) - {key}} == \
        {other: old for other, old in database.values.items() if other != key}
    database.verify()


# Name: command, and what it prints.
LOOKS = {
    'diff -r': ('cp -r . ../copy && diff -r . ../copy && echo same', 'same\n'),
    'git diff --no-index': ('cp -r . ../copy && git diff --no-index . ../copy && echo same', 'same\n'),
    'git diff of a change': ('cp -r . ../copy && echo goodbye > greeting && git diff --no-index --numstat . ../copy', '1\t1\t'),
    'git grep': ('git grep --no-index -l hello', 'greeting\n'),
    'find -newer': ('touch -d 2001-01-01 *; touch -d 2002-01-01 list; find . -type f -newer text', './list\n'),
    'find -size': ('find . -type f -size -1c', './empty\n'),
    'find -mmin': ('touch -d 2001-01-01 *; echo new > text; find . -type f -mmin -10', './text\n'),
    'find -inum': ('find . -inum $(stat -c %i greeting)', './greeting\n'),
    'xargs -P': ('ls | grep -v bytes | xargs -P 4 -n 1 cat | sort', '[1, 2, 3]\n'),
    'less': ('less -F greeting', 'hello\n'),
    'file': ('file -b greeting bytes', 'ASCII text\n'),
    'du': ('du -b greeting', '6\tgreeting\n'),
    'du -s': ('du -s --apparent-size . | cut -f 2', '.\n'),
    'df': ('df --output=target . | tail -n 1', ''),
    'wc': ('wc -c greeting', '6 greeting\n'),
    'stat': ('stat -c "%F %h %s" greeting', 'regular file 1 6\n'),
    'grep -r': ('grep -r hello .', './greeting:hello\n'),
    'cmp': ('cp greeting ../copy && cmp greeting ../copy && echo same', 'same\n'),
    'tail -c': ('tail -c 4 greeting', 'llo\n'),
    'md5sum -c': ('md5sum * > ../sums && md5sum --quiet -c ../sums && echo same', 'same\n'),
    'tar -d': ('tar -cf ../all.tar . && tar -df ../all.tar && echo same', 'same\n'),
    'gio info': ('gio info -a standard::size,standard::type greeting', 'attributes:'),
    'flock': ('flock greeting -c "cat greeting"', 'hello\n'),
    'cat of all': ('cat greeting text', 'hello\n' + TEXT + '\n'),
}


@pytest.mark.parametrize('engine', ['dumb'], indirect=True)  # looking is the same with all of them
@pytest.mark.parametrize('name', LOOKS)
def test_looking(mount, database, name):
    command, expected = LOOKS[name]
    before = {key: value for key, value in database.records().items() if key != b'greeting' and key != b'text'}
    done = sh(command, mount.directory, check=False)
    assert expected in done.stdout, done.stdout
    assert {key: value for key, value in database.records().items() if key != b'greeting' and key != b'text'} == before


def test_inotify_sees_what_is_done_here(mount):
    """Of what other processes do to the database beside the mount it can't know."""
    watcher = subprocess.Popen(['inotifywait', '-m', '-e', 'create,modify,close_write,moved_to,delete', '--format', '%e %f', str(mount.directory)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while 'Watches established' not in watcher.stderr.readline():
            assert watcher.poll() is None
        sh('echo x > new; echo y >> greeting; mv new list; rm text; echo end > zz; rm zz', mount.directory)
        seen = []
        while not seen or seen[-1] != 'DELETE zz':
            seen.append(watcher.stdout.readline().strip())
    finally:
        watcher.kill()
        watcher.communicate()
    for event in ('CREATE new', 'CLOSE_WRITE,CLOSE new', 'MODIFY greeting', 'MOVED_TO list', 'DELETE text'):
        assert event in seen, seen


def test_many_at_work(mount, database):
    sh("seq 200 | xargs -P 8 -I{} sh -c 'echo [{}] > k{} && sed -i s/]/,0]/ k{} && mv k{} n{}'", mount.directory)
    assert {key: database.value(key) for key in ('n1', 'n99', 'n200')} == {'n1': [1, 0], 'n99': [99, 0], 'n200': [200, 0]}
    assert len(database.keys()) == 208
    sh("ls | grep ^n | xargs -P 8 -n 5 sh -c 'test -e number && rm -- $(echo $@ | sed s/number//)' sh", mount.directory, check=False)
    eventually(lambda: not [name for name in os.listdir(mount.directory) if name[1:].isdigit()])


def test_locks_of_the_shell(mount, database):
    """A counter that several shells count up, each under the lock of the file itself."""
    mount.save('counter', '0\n')
    script = 'for i in $(seq 20); do flock counter sh -c \'n=$(cat counter); echo $((n + 1)) > counter\'; done'
    sh('(%s) & (%s) & (%s) & wait' % (script, script, script), mount.directory)
    assert database.value('counter') == 60


def test_a_save_as_file_managers_do_it(mount, database):
    """A temporary beside it, synced, renamed over it, and the directory synced: GIO, Qt, KDE, atomicwrites."""
    with watched(database, 'greeting', 'hello', 'goodbye'):
        for temporary in ('.goutputstream-AB12CD', 'greeting.XkYzWq', '.greeting.kate-swp', 'tmpabcd1234'):
            for word in (b'goodbye\n', b'hello\n'):
                path = mount / temporary
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
                os.write(descriptor, word)
                os.fsync(descriptor)
                os.fchmod(descriptor, 0o644)
                os.close(descriptor)
                os.rename(path, mount / 'greeting')
                top = os.open(mount.directory, os.O_RDONLY)
                os.fsync(top)
                os.close(top)
    assert database.value('greeting') == 'hello'
    assert database.keys() == {key.encode() for key in database.values}


def test_copying_the_tree_with_python(mount, database, tmp_path, new_database, mounter):
    shutil.copytree(mount.directory, tmp_path / 'copy')
    other_database = new_database('other')
    other = mounter(other_database, 'create,store=' + other_database.engine)
    shutil.copytree(tmp_path / 'copy', other.directory, dirs_exist_ok=True)
    other.remount()
    assert other_database.records() == database.records()
    for path in pathlib.Path(other.directory).iterdir():
        path.unlink()
    assert other_database.records() == {}


def test_a_temporary_directory_is_refused_as_tools_expect(mount):
    """`mktemp -d`, and what unpacks into a directory of its own."""
    for command in ('mktemp -d ./dir.XXXXXX', 'mkdir dir', 'ln greeting hard', 'ln -s greeting soft', 'mkfifo fifo'):
        done = sh('LC_ALL=C ' + command, mount.directory, check=False)
        assert done.returncode and 'Operation not permitted' in done.stdout, done.stdout


def test_interpreters(mount, database):
    """A key can be a script."""
    mount.save('script', "import sys\nprint('ran', len(sys.argv))\n")
    assert sh('%s script' % sys.executable, mount.directory).stdout == 'ran 1\n'
    assert sh('bash -c ". ./words" ', mount.directory, check=False).returncode != 0
    mount.save('words', 'echo from a key\n')
    assert sh('. ./words', mount.directory).stdout == 'from a key\n'
