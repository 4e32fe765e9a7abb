/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/dangerous.h"

/* P: picklescan, F: fickling, M: modelscan lists it; -: none of them. In brackets: only parts of it, which don't stand alone. */

/* Modules of which nothing is harmless. */
static const char *const modules[] = {
    /* PFM */ "nt os posix socket subprocess sys",
    /* P M */ "httplib pickle pty runpy webbrowser",
    /* (PM) */ "aiohttp requests",
    /* P   */ "_pickle asyncio bdb commands ctypes pdb pip pydoc shutil ssl timeit venv",
    /* P   */ "numpy.f2py numpy.testing._private.utils",
    /* (P) */ "cProfile code distutils ensurepip idlelib lib2to3.pgen2 profile trace",
    /*  F  */ "__builtins__",
    /* -   */ "_posixsubprocess cloudpickle imp importlib marshal multiprocessing popen2 test urllib urllib2",
};

/* Functions and classes of other modules. Of a class, all that is inside it. */
static const struct {
    const char *module;
    const char *names; /* separated by blanks */
} names[] = {
    /* PFM */ {"builtins", "compile eval exec open"},
    /* PFM */ {"__builtin__", "compile eval exec open"},
    /* P M; fickling takes the whole module, also for dict and set */ {"builtins", "apply breakpoint getattr"},
    /* P M */ {"__builtin__", "apply breakpoint getattr"},
    /*   M */ {"builtins", "__import__"},
    /*   M */ {"__builtin__", "__import__"},
    /* -   */ {"builtins", "delattr execfile globals input locals setattr vars"},
    /* -   */ {"__builtin__", "delattr execfile file globals input locals raw_input reload setattr vars"},
    /* P M */ {"operator", "attrgetter"},
    /* P   */ {"operator", "itemgetter methodcaller"},
    /* -   */ {"_operator", "attrgetter itemgetter methodcaller"},
    /* P   */ {"functools", "partial"},
    /* -   */ {"functools", "partialmethod reduce"},
    /* P   */ {"doctest", "debug_script"},
    /* P   */ {"torch._dynamo.guards", "GuardBuilder"},
    /* P   */ {"torch._inductor.codecache", "compile_file"},
    /* P   */ {"torch.fx.experimental.symbolic_shapes", "ShapeEnv"},
    /* PF  */ {"torch.jit.unsupported_tensor_ops", "execWrapper"},
    /* P   */ {"torch.serialization", "load"},
    /* P   */ {"torch.utils._config_module", "ConfigModule"},
    /* P   */ {"torch.utils.bottleneck.__main__", "run_autograd_prof run_cprofile"},
    /* P   */ {"torch.utils.collect_env", "run"},
    /* P   */ {"torch.utils.data.datapipes.utils.decoder", "basichandlers"},
    /* -   */ {"_io", "FileIO open open_code"},
    /* -   */ {"io", "FileIO open open_code"},
    /* -   */ {"joblib", "load"},
    /* -   */ {"logging", "FileHandler"},
    /* -   */ {"logging.config", "dictConfig fileConfig listen"},
    /* -   */ {"numpy", "fromfile load loads"},
    /* -   */ {"numpy.ctypeslib", "load_library"},
    /* -   */ {"pandas", "read_pickle"},
    /* -   */ {"pkgutil", "resolve_name"},
    /* -   */ {"torch", "load"},
    /* -   */ {"types", "CodeType FunctionType"},
    /* -   */ {"uuid", "_get_command_stdout _popen"},
    /* -   */ {"yaml", "load unsafe_load"},
};

/* Wherever they are: fickling knows them by name alone. */
static const char anywhere[] = "_run_code eval exec execWrapper";

static bool is_module(struct bytes module)
{
    for (size_t i = 0; i < ARRAY_SIZE(modules); i++)
        if (bytes_have_word(modules[i], module))
            return true;
    return false;
}

static bool in_module(struct bytes module)
{
    for (size_t end = 0; end <= module.size; end++)
        if ((end == module.size || module.data[end] == '.') && is_module(bytes_part(module, 0, end)))
            return true;
    return false;
}

/* A path through modules that others import. */
static bool passes_module(struct bytes name)
{
    size_t dot;

    for (; (dot = bytes_find_byte(name, '.')) < name.size; name = bytes_part(name, dot + 1, SIZE_MAX))
        if (is_module(bytes_part(name, 0, dot)))
            return true;
    return false;
}

bool global_is_dangerous(struct bytes module, struct bytes name)
{
    struct bytes first = bytes_part(name, 0, bytes_find_byte(name, '.'));

    if (in_module(module) || passes_module(name) || bytes_have_word(anywhere, name))
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (bytes_equal(module, bytes_of_string(names[i].module)) && bytes_have_word(names[i].names, first))
            return true;
    return false;
}
