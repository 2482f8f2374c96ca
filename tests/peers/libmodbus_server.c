/* A Modbus TCP server on libmodbus for loopback: prints its port, serves one client after the other.
 *
 * Input registers hold their own address; holding registers can be written. Addresses 0 to 199 exist in each
 * table, but exception 2 is given to any request that touches holding registers 50 to 59.
 * Registers 100 to 107 hold 1234.5 as ABCD, BADC, CDAB and DCBA, two each, if libmodbus reads them so itself.
 * (Its readers are used and not its writers, which in 3.1.6 give other orders than their names say.) */
#include <errno.h>
#include <modbus.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CELLS = 200, HOLE = 50, HOLE_END = 60 };

static int touches_hole(const uint8_t *request) {
    int function = request[7], start = request[8] << 8 | request[9], count = request[10] << 8 | request[11];
    if (function == 6) count = 1;
    return (function == 3 || function == 6 || function == 16) && start < HOLE_END && start + count > HOLE;
}

int main(void) {
    modbus_t *context = modbus_new_tcp("127.0.0.1", 0);
    modbus_mapping_t *mapping = modbus_mapping_new(CELLS, CELLS, CELLS, CELLS);
    int listener = context && mapping ? modbus_tcp_listen(context, 1) : -1;
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    if (listener < 0 || getsockname(listener, (struct sockaddr *)&address, &length) < 0) return 1;
    for (int cell = 0; cell < CELLS; cell++) {
        mapping->tab_input_registers[cell] = (uint16_t)cell;
        mapping->tab_input_bits[cell] = cell % 3 == 0;
    }
    static const uint16_t orders[8] = {0x449a, 0x5000, 0x9a44, 0x0050, 0x5000, 0x449a, 0x0050, 0x9a44};
    if (modbus_get_float_abcd(orders) != 1234.5f || modbus_get_float_badc(orders + 2) != 1234.5f ||
        modbus_get_float_cdab(orders + 4) != 1234.5f || modbus_get_float_dcba(orders + 6) != 1234.5f)
        return 2;
    for (int word = 0; word < 8; word++) mapping->tab_registers[100 + word] = orders[word];
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    while (modbus_tcp_accept(context, &listener) >= 0) {
        uint8_t request[MODBUS_TCP_MAX_ADU_LENGTH];
        int size;
        while ((size = modbus_receive(context, request)) >= 0) {
            if (size == 0) continue;
            if (touches_hole(request))
                modbus_reply_exception(context, request, MODBUS_EXCEPTION_ILLEGAL_DATA_ADDRESS);
            else
                modbus_reply(context, request, size, mapping);
        }
        modbus_close(context);
    }
    return 0;
}
