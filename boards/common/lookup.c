// Where a name stands in a table: what the interpreter does most, some two thousand times in a tick of the pump.
//
// The interpreter's own search keeps one cache for all tables, by the name alone. Here names like `clock` stand in the
// tables of many small objects, each at another place, and a method's name is searched in vain in its object's table
// before it is found in that of the class; then a hash is fetched and divided by. This one stands in front of it (the
// header gives the other its new name). It remembers the place by table and name, and searches a hash table of names
// without a division. What it finds is always compared with the name, so what is remembered can be stale, never wrong;
// what it does not know how to search it leaves to the interpreter's own.

#include "py/mpstate.h"
#include "py/obj.h"
#include "py/qstr.h"

mp_map_elem_t *mp_map_lookup_any(mp_map_t *map, mp_obj_t index, mp_map_lookup_kind_t kind);

#define PLACES (4096) // a power of two; a byte each
#define SIZES (128) // of the tables that are searched here

static uint8_t places[PLACES];

#if MICROPY_QSTR_BYTES_IN_HASH != 1
#error a hash is taken to be a byte
#endif

// For a hash of a byte: hash / size == hash * inverse[size] >> 16, exactly.
#define INVERSE(size) ((size) < 2 ? 0 : 65536 / (size) + 1)
#define FOUR(size) INVERSE(size), INVERSE((size) + 1), INVERSE((size) + 2), INVERSE((size) + 3)
#define SIXTEEN(size) FOUR(size), FOUR((size) + 4), FOUR((size) + 8), FOUR((size) + 12)
static const uint16_t inverse[SIZES] = {
    SIXTEEN(0), SIXTEEN(16), SIXTEEN(32), SIXTEEN(48), SIXTEEN(64), SIXTEEN(80), SIXTEEN(96), SIXTEEN(112),
};

#define PLACE(table, index) (((uintptr_t)(table) >> 4 ^ (uintptr_t)(index) >> 3) % PLACES)

static MP_NOINLINE mp_map_elem_t *search(mp_map_t *map, mp_obj_t index, mp_map_lookup_kind_t kind) {
    size_t size = map->alloc;
    if (kind != MP_MAP_LOOKUP || map->is_ordered || !map->all_keys_are_qstrs || !mp_obj_is_qstr(index)
        || size < 2 || size >= SIZES) {
        mp_map_elem_t *found = mp_map_lookup_any(map, index, kind);
        if (found != NULL) {
            places[PLACE(map->table, index)] = found - map->table; // wrong beyond 255: then it is searched again
        }
        return found;
    }
    qstr name = MP_OBJ_QSTR_VALUE(index);
    const qstr_pool_t *pool = MP_STATE_VM(last_pool);
    while (name < pool->total_prev_len) {
        pool = pool->prev;
    }
    size_t hash = pool->hashes[name - pool->total_prev_len];
    size_t at = hash - (hash * inverse[size] >> 16) * size;
    mp_map_elem_t *table = map->table;
    for (size_t left = size; left; --left) {
        mp_obj_t key = table[at].key;
        if (key == index) {
            places[PLACE(table, index)] = at;
            return &table[at];
        }
        if (key == MP_OBJ_NULL) {
            return NULL;
        }
        if (++at == size) {
            at = 0;
        }
    }
    return NULL;
}

mp_map_elem_t *mp_map_lookup(mp_map_t *map, mp_obj_t index, mp_map_lookup_kind_t kind) {
    mp_map_elem_t *table = map->table;
    size_t at = places[PLACE(table, index)];
    if (at < map->alloc && table[at].key == index && kind != MP_MAP_LOOKUP_REMOVE_IF_FOUND) {
        return &table[at];
    }
    return search(map, index, kind);
}
