/* Written by h2_name.py beside it: the static table of RFC 7541, appendix A, and names by number. */
enum mf_h2_name {
    MF_H2_NAME_OTHER,
    MF_H2_NAME_PSEUDO_AUTHORITY,
    MF_H2_NAME_PSEUDO_METHOD,
    MF_H2_NAME_PSEUDO_PATH,
    MF_H2_NAME_PSEUDO_SCHEME,
    MF_H2_NAME_PSEUDO_STATUS,
    MF_H2_NAME_ACCEPT_CHARSET,
    MF_H2_NAME_ACCEPT_ENCODING,
    MF_H2_NAME_ACCEPT_LANGUAGE,
    MF_H2_NAME_ACCEPT_RANGES,
    MF_H2_NAME_ACCEPT,
    MF_H2_NAME_ACCESS_CONTROL_ALLOW_ORIGIN,
    MF_H2_NAME_AGE,
    MF_H2_NAME_ALLOW,
    MF_H2_NAME_AUTHORIZATION,
    MF_H2_NAME_CACHE_CONTROL,
    MF_H2_NAME_CONTENT_DISPOSITION,
    MF_H2_NAME_CONTENT_ENCODING,
    MF_H2_NAME_CONTENT_LANGUAGE,
    MF_H2_NAME_CONTENT_LENGTH,
    MF_H2_NAME_CONTENT_LOCATION,
    MF_H2_NAME_CONTENT_RANGE,
    MF_H2_NAME_CONTENT_TYPE,
    MF_H2_NAME_COOKIE,
    MF_H2_NAME_DATE,
    MF_H2_NAME_ETAG,
    MF_H2_NAME_EXPECT,
    MF_H2_NAME_EXPIRES,
    MF_H2_NAME_FROM,
    MF_H2_NAME_HOST,
    MF_H2_NAME_IF_MATCH,
    MF_H2_NAME_IF_MODIFIED_SINCE,
    MF_H2_NAME_IF_NONE_MATCH,
    MF_H2_NAME_IF_RANGE,
    MF_H2_NAME_IF_UNMODIFIED_SINCE,
    MF_H2_NAME_LAST_MODIFIED,
    MF_H2_NAME_LINK,
    MF_H2_NAME_LOCATION,
    MF_H2_NAME_MAX_FORWARDS,
    MF_H2_NAME_PROXY_AUTHENTICATE,
    MF_H2_NAME_PROXY_AUTHORIZATION,
    MF_H2_NAME_RANGE,
    MF_H2_NAME_REFERER,
    MF_H2_NAME_REFRESH,
    MF_H2_NAME_RETRY_AFTER,
    MF_H2_NAME_SERVER,
    MF_H2_NAME_SET_COOKIE,
    MF_H2_NAME_STRICT_TRANSPORT_SECURITY,
    MF_H2_NAME_TRANSFER_ENCODING,
    MF_H2_NAME_USER_AGENT,
    MF_H2_NAME_VARY,
    MF_H2_NAME_VIA,
    MF_H2_NAME_WWW_AUTHENTICATE,
    MF_H2_NAME_CONNECTION,
    MF_H2_NAME_KEEP_ALIVE,
    MF_H2_NAME_PROXY_CONNECTION,
    MF_H2_NAME_UPGRADE,
    MF_H2_NAME_TE,
    MF_H2_NAME_TRAILER,
    MF_H2_NAME_PRIORITY,
    MF_H2_NAME_GRPC_STATUS,
    MF_H2_NAME_GRPC_MESSAGE,
    MF_H2_NAME_GRPC_STATUS_DETAILS_BIN,
    MF_H2_NAME_GRPC_TIMEOUT,
    MF_H2_NAME_GRPC_ENCODING,
    MF_H2_NAME_GRPC_ACCEPT_ENCODING,
    MF_H2_NAME_TRI_SERVICE_VERSION,
    MF_H2_NAME_TRI_SERVICE_GROUP,
    MF_H2_NAME_TRI_SERVICE_TIMEOUT,
    MF_H2_NAME_TRI_CONSUMER_APPNAME,
    MF_H2_NAME_TRI_HEADER_CONVERT,
    MF_H2_NAME_TRI_EXCEPTION_CODE,
    MF_H2_NAME_BAGGAGE,
    MF_H2_NAME_TRACEPARENT,
    MF_H2_NAME_TRACESTATE,
    MF_H2_NAME_X_REQUEST_ID,
    MF_H2_NAME_X_B3_TRACEID,
    MF_H2_NAME_X_B3_SPANID,
    MF_H2_NAME_B3,
    MF_H2_NAME_SW8,
    MF_H2_NAME_EAGLEEYE_TRACEID,
    MF_H2_NAME_COUNT,
};

/* X(number, name, in Huffman code, first index in the static table or 0, hop by hop, changes, secret) */
#define MF_H2_NAME_LIST(X) \
    X(MF_H2_NAME_PSEUDO_AUTHORITY, ":authority", "\270\073\123\071\354\062\175\177", 1, 0, 0, 0) \
    X(MF_H2_NAME_PSEUDO_METHOD, ":method", "\271\111\123\071\344", 2, 0, 0, 0) \
    X(MF_H2_NAME_PSEUDO_PATH, ":path", "\271\130\323\077", 4, 0, 0, 0) \
    X(MF_H2_NAME_PSEUDO_SCHEME, ":scheme", "\270\202\116\132\113", 6, 0, 0, 0) \
    X(MF_H2_NAME_PSEUDO_STATUS, ":status", "\270\204\215\066\243", 8, 0, 0, 0) \
    X(MF_H2_NAME_ACCEPT_CHARSET, "accept-charset", "\031\010\132\322\261\047\035\210\052\177", 15, 0, 0, 0) \
    X(MF_H2_NAME_ACCEPT_ENCODING, "accept-encoding", "\031\010\132\322\261\152\041\344\065\123\177", 16, 0, 0, 0) \
    X(MF_H2_NAME_ACCEPT_LANGUAGE, "accept-language", "\031\010\132\322\265\003\252\153\107\061\177", 17, 0, 0, 0) \
    X(MF_H2_NAME_ACCEPT_RANGES, "accept-ranges", "\031\010\132\322\265\203\252\142\243", 18, 0, 0, 0) \
    X(MF_H2_NAME_ACCEPT, "accept", "\031\010\132\323", 19, 0, 0, 0) \
    X(MF_H2_NAME_ACCESS_CONTROL_ALLOW_ORIGIN, "access-control-allow-origin", "\031\010\124\041\142\036\244\330\172\026\035\024\037\302\307\260\323\032\257", 20, 0, 0, 0) \
    X(MF_H2_NAME_AGE, "age", "\034\305", 21, 0, 1, 0) \
    X(MF_H2_NAME_ALLOW, "allow", "\035\024\037\307", 22, 0, 0, 0) \
    X(MF_H2_NAME_AUTHORIZATION, "authorization", "\035\251\234\366\033\330\322\143\325", 23, 0, 0, 1) \
    X(MF_H2_NAME_CACHE_CONTROL, "cache-control", "\040\311\071\126\041\352\115\207\243", 24, 0, 0, 0) \
    X(MF_H2_NAME_CONTENT_DISPOSITION, "content-disposition", "\041\352\111\152\112\322\031\025\235\006\111\217\127", 25, 0, 0, 0) \
    X(MF_H2_NAME_CONTENT_ENCODING, "content-encoding", "\041\352\111\152\112\305\250\207\220\325\115", 26, 0, 0, 0) \
    X(MF_H2_NAME_CONTENT_LANGUAGE, "content-language", "\041\352\111\152\112\324\016\251\255\034\305", 27, 0, 0, 0) \
    X(MF_H2_NAME_CONTENT_LENGTH, "content-length", "\041\352\111\152\112\324\026\251\223\077", 28, 0, 1, 0) \
    X(MF_H2_NAME_CONTENT_LOCATION, "content-location", "\041\352\111\152\112\324\034\203\111\217\127", 29, 0, 0, 0) \
    X(MF_H2_NAME_CONTENT_RANGE, "content-range", "\041\352\111\152\112\326\016\251\213", 30, 0, 1, 0) \
    X(MF_H2_NAME_CONTENT_TYPE, "content-type", "\041\352\111\152\112\311\365\131\177", 31, 0, 0, 0) \
    X(MF_H2_NAME_COOKIE, "cookie", "\041\317\324\305", 32, 0, 0, 0) \
    X(MF_H2_NAME_DATE, "date", "\220\151\057", 33, 0, 1, 0) \
    X(MF_H2_NAME_ETAG, "etag", "\052\107\067", 34, 0, 1, 0) \
    X(MF_H2_NAME_EXPECT, "expect", "\057\232\312\104\377", 35, 0, 0, 0) \
    X(MF_H2_NAME_EXPIRES, "expires", "\057\232\315\141\121", 36, 0, 1, 0) \
    X(MF_H2_NAME_FROM, "from", "\226\303\323", 37, 0, 0, 0) \
    X(MF_H2_NAME_HOST, "host", "\234\350\117", 38, 0, 0, 0) \
    X(MF_H2_NAME_IF_MATCH, "if-match", "\064\253\122\064\222\177", 39, 0, 0, 0) \
    X(MF_H2_NAME_IF_MODIFIED_SINCE, "if-modified-since", "\064\253\122\171\015\051\213\042\310\065\104\057", 40, 0, 1, 0) \
    X(MF_H2_NAME_IF_NONE_MATCH, "if-none-match", "\064\253\124\172\212\265\043\111\047", 41, 0, 1, 0) \
    X(MF_H2_NAME_IF_RANGE, "if-range", "\064\253\130\072\246\057", 42, 0, 0, 0) \
    X(MF_H2_NAME_IF_UNMODIFIED_SINCE, "if-unmodified-since", "\064\253\133\125\047\220\322\230\262\054\203\124\102\377", 43, 0, 0, 0) \
    X(MF_H2_NAME_LAST_MODIFIED, "last-modified", "\240\150\112\324\236\103\112\142\311", 44, 0, 1, 0) \
    X(MF_H2_NAME_LINK, "link", "\240\325\165", 45, 0, 0, 0) \
    X(MF_H2_NAME_LOCATION, "location", "\240\344\032\114\172\277", 46, 0, 1, 0) \
    X(MF_H2_NAME_MAX_FORWARDS, "max-forwards", "\244\176\126\224\366\170\035\222\043", 47, 0, 0, 0) \
    X(MF_H2_NAME_PROXY_AUTHENTICATE, "proxy-authenticate", "\256\303\371\364\260\355\114\345\251\046\040\322\137", 48, 0, 0, 0) \
    X(MF_H2_NAME_PROXY_AUTHORIZATION, "proxy-authorization", "\256\303\371\364\260\355\114\347\260\336\306\223\036\257", 49, 0, 0, 1) \
    X(MF_H2_NAME_RANGE, "range", "\260\165\114\137", 50, 0, 1, 0) \
    X(MF_H2_NAME_REFERER, "referer", "\260\262\226\302\331", 51, 0, 0, 0) \
    X(MF_H2_NAME_REFRESH, "refresh", "\260\262\330\124\117", 52, 0, 0, 0) \
    X(MF_H2_NAME_RETRY_AFTER, "retry-after", "\260\251\263\322\303\225\045\263", 53, 0, 0, 0) \
    X(MF_H2_NAME_SERVER, "server", "\101\154\356\133\077", 54, 0, 0, 0) \
    X(MF_H2_NAME_SET_COOKIE, "set-cookie", "\101\122\261\016\176\246\057", 55, 0, 0, 0) \
    X(MF_H2_NAME_STRICT_TRANSPORT_SECURITY, "strict-transport-security", "\102\154\061\022\262\154\035\110\254\366\045\144\024\226\330\144\372", 56, 0, 0, 0) \
    X(MF_H2_NAME_TRANSFER_ENCODING, "transfer-encoding", "\115\203\251\022\226\305\213\121\017\041\252\233", 57, 1, 0, 0) \
    X(MF_H2_NAME_USER_AGENT, "user-agent", "\265\005\261\141\314\132\223", 58, 0, 0, 0) \
    X(MF_H2_NAME_VARY, "vary", "\356\073\075\177", 59, 0, 0, 0) \
    X(MF_H2_NAME_VIA, "via", "\356\141\377", 60, 0, 0, 0) \
    X(MF_H2_NAME_WWW_AUTHENTICATE, "www-authenticate", "\361\343\302\303\265\063\226\244\230\203\111\177", 61, 0, 0, 0) \
    X(MF_H2_NAME_CONNECTION, "connection", "\041\352\250\244\111\217\127", 0, 1, 0, 0) \
    X(MF_H2_NAME_KEEP_ALIVE, "keep-alive", "\352\122\326\260\350\067\162\377", 0, 1, 0, 0) \
    X(MF_H2_NAME_PROXY_CONNECTION, "proxy-connection", "\256\303\371\364\261\017\125\105\042\114\172\277", 0, 1, 0, 0) \
    X(MF_H2_NAME_UPGRADE, "upgrade", "\266\271\254\034\205", 0, 1, 0, 0) \
    X(MF_H2_NAME_TE, "te", "\111\177", 0, 0, 0, 0) \
    X(MF_H2_NAME_TRAILER, "trailer", "\115\203\065\005\263", 0, 0, 0, 0) \
    X(MF_H2_NAME_PRIORITY, "priority", "\256\303\036\303\047\327", 0, 0, 0, 0) \
    X(MF_H2_NAME_GRPC_STATUS, "grpc-status", "\232\312\310\262\022\064\332\217", 0, 0, 0, 0) \
    X(MF_H2_NAME_GRPC_MESSAGE, "grpc-message", "\232\312\310\265\045\102\007\061\177", 0, 0, 1, 0) \
    X(MF_H2_NAME_GRPC_STATUS_DETAILS_BIN, "grpc-status-details-bin", "\232\312\310\262\022\064\332\205\244\052\106\152\020\264\146\253", 0, 0, 1, 0) \
    X(MF_H2_NAME_GRPC_TIMEOUT, "grpc-timeout", "\232\312\310\262\115\111\117\152\177", 0, 0, 1, 0) \
    X(MF_H2_NAME_GRPC_ENCODING, "grpc-encoding", "\232\312\310\261\152\041\344\065\123\177", 0, 0, 0, 0) \
    X(MF_H2_NAME_GRPC_ACCEPT_ENCODING, "grpc-accept-encoding", "\232\312\310\260\310\102\326\225\213\121\017\041\252\233", 0, 0, 0, 0) \
    X(MF_H2_NAME_TRI_SERVICE_VERSION, "tri-service-version", "\115\206\131\005\263\271\210\125\273\226\304\030\365\177", 0, 0, 0, 0) \
    X(MF_H2_NAME_TRI_SERVICE_GROUP, "tri-service-group", "\115\206\131\005\263\271\210\125\246\260\366\327", 0, 0, 0, 0) \
    X(MF_H2_NAME_TRI_SERVICE_TIMEOUT, "tri-service-timeout", "\115\206\131\005\263\271\210\125\222\152\112\173\123", 0, 0, 1, 0) \
    X(MF_H2_NAME_TRI_CONSUMER_APPNAME, "tri-consumer-appname", "\115\206\130\207\251\026\322\133\026\035\165\324\072\113", 0, 0, 0, 0) \
    X(MF_H2_NAME_TRI_HEADER_CONVERT, "tri-header-convert", "\115\206\132\162\216\102\330\261\017\127\162\330\237", 0, 0, 0, 0) \
    X(MF_H2_NAME_TRI_EXCEPTION_CODE, "tri-exception-code", "\115\206\130\276\110\132\322\143\324\261\017\041\177", 0, 0, 1, 0) \
    X(MF_H2_NAME_BAGGAGE, "baggage", "\214\163\114\071\213", 0, 0, 1, 0) \
    X(MF_H2_NAME_TRACEPARENT, "traceparent", "\115\203\041\153\035\205\251\077", 0, 0, 1, 0) \
    X(MF_H2_NAME_TRACESTATE, "tracestate", "\115\203\041\120\221\244\277", 0, 0, 1, 0) \
    X(MF_H2_NAME_X_REQUEST_ID, "x-request-id", "\362\265\205\355\151\120\225\215\047", 0, 0, 1, 0) \
    X(MF_H2_NAME_X_B3_TRACEID, "x-b3-traceid", "\362\264\154\254\233\006\102\232\117", 0, 0, 1, 0) \
    X(MF_H2_NAME_X_B3_SPANID, "x-b3-spanid", "\362\264\154\254\212\307\121\244", 0, 0, 1, 0) \
    X(MF_H2_NAME_B3, "b3", "\215\237", 0, 0, 1, 0) \
    X(MF_H2_NAME_SW8, "sw8", "\107\207\277", 0, 0, 1, 0) \
    X(MF_H2_NAME_EAGLEEYE_TRACEID, "eagleeye-traceid", "\050\346\240\245\364\125\223\140\310\123\111", 0, 0, 1, 0) \

/* X(name's number, name, value), from index 1 on */
#define MF_H2_STATIC_LIST(X) \
    X(MF_H2_NAME_PSEUDO_AUTHORITY, ":authority", "") \
    X(MF_H2_NAME_PSEUDO_METHOD, ":method", "GET") \
    X(MF_H2_NAME_PSEUDO_METHOD, ":method", "POST") \
    X(MF_H2_NAME_PSEUDO_PATH, ":path", "/") \
    X(MF_H2_NAME_PSEUDO_PATH, ":path", "/index.html") \
    X(MF_H2_NAME_PSEUDO_SCHEME, ":scheme", "http") \
    X(MF_H2_NAME_PSEUDO_SCHEME, ":scheme", "https") \
    X(MF_H2_NAME_PSEUDO_STATUS, ":status", "200") \
    X(MF_H2_NAME_PSEUDO_STATUS, ":status", "204") \
    X(MF_H2_NAME_PSEUDO_STATUS, ":status", "206") \
    X(MF_H2_NAME_PSEUDO_STATUS, ":status", "304") \
    X(MF_H2_NAME_PSEUDO_STATUS, ":status", "400") \
    X(MF_H2_NAME_PSEUDO_STATUS, ":status", "404") \
    X(MF_H2_NAME_PSEUDO_STATUS, ":status", "500") \
    X(MF_H2_NAME_ACCEPT_CHARSET, "accept-charset", "") \
    X(MF_H2_NAME_ACCEPT_ENCODING, "accept-encoding", "gzip, deflate") \
    X(MF_H2_NAME_ACCEPT_LANGUAGE, "accept-language", "") \
    X(MF_H2_NAME_ACCEPT_RANGES, "accept-ranges", "") \
    X(MF_H2_NAME_ACCEPT, "accept", "") \
    X(MF_H2_NAME_ACCESS_CONTROL_ALLOW_ORIGIN, "access-control-allow-origin", "") \
    X(MF_H2_NAME_AGE, "age", "") \
    X(MF_H2_NAME_ALLOW, "allow", "") \
    X(MF_H2_NAME_AUTHORIZATION, "authorization", "") \
    X(MF_H2_NAME_CACHE_CONTROL, "cache-control", "") \
    X(MF_H2_NAME_CONTENT_DISPOSITION, "content-disposition", "") \
    X(MF_H2_NAME_CONTENT_ENCODING, "content-encoding", "") \
    X(MF_H2_NAME_CONTENT_LANGUAGE, "content-language", "") \
    X(MF_H2_NAME_CONTENT_LENGTH, "content-length", "") \
    X(MF_H2_NAME_CONTENT_LOCATION, "content-location", "") \
    X(MF_H2_NAME_CONTENT_RANGE, "content-range", "") \
    X(MF_H2_NAME_CONTENT_TYPE, "content-type", "") \
    X(MF_H2_NAME_COOKIE, "cookie", "") \
    X(MF_H2_NAME_DATE, "date", "") \
    X(MF_H2_NAME_ETAG, "etag", "") \
    X(MF_H2_NAME_EXPECT, "expect", "") \
    X(MF_H2_NAME_EXPIRES, "expires", "") \
    X(MF_H2_NAME_FROM, "from", "") \
    X(MF_H2_NAME_HOST, "host", "") \
    X(MF_H2_NAME_IF_MATCH, "if-match", "") \
    X(MF_H2_NAME_IF_MODIFIED_SINCE, "if-modified-since", "") \
    X(MF_H2_NAME_IF_NONE_MATCH, "if-none-match", "") \
    X(MF_H2_NAME_IF_RANGE, "if-range", "") \
    X(MF_H2_NAME_IF_UNMODIFIED_SINCE, "if-unmodified-since", "") \
    X(MF_H2_NAME_LAST_MODIFIED, "last-modified", "") \
    X(MF_H2_NAME_LINK, "link", "") \
    X(MF_H2_NAME_LOCATION, "location", "") \
    X(MF_H2_NAME_MAX_FORWARDS, "max-forwards", "") \
    X(MF_H2_NAME_PROXY_AUTHENTICATE, "proxy-authenticate", "") \
    X(MF_H2_NAME_PROXY_AUTHORIZATION, "proxy-authorization", "") \
    X(MF_H2_NAME_RANGE, "range", "") \
    X(MF_H2_NAME_REFERER, "referer", "") \
    X(MF_H2_NAME_REFRESH, "refresh", "") \
    X(MF_H2_NAME_RETRY_AFTER, "retry-after", "") \
    X(MF_H2_NAME_SERVER, "server", "") \
    X(MF_H2_NAME_SET_COOKIE, "set-cookie", "") \
    X(MF_H2_NAME_STRICT_TRANSPORT_SECURITY, "strict-transport-security", "") \
    X(MF_H2_NAME_TRANSFER_ENCODING, "transfer-encoding", "") \
    X(MF_H2_NAME_USER_AGENT, "user-agent", "") \
    X(MF_H2_NAME_VARY, "vary", "") \
    X(MF_H2_NAME_VIA, "via", "") \
    X(MF_H2_NAME_WWW_AUTHENTICATE, "www-authenticate", "") \

#define MF_H2_STATIC 61
#define MF_H2_NAME_FACTOR 0xE31DEFE7u
#define MF_H2_NAME_SLOTS \
    0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 62, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 18, 0, 0, 46, 13, 0, 71, 0, 0, 0, 36, \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 39, 0, 0, 0, 25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 76, 7, 0, 0, 0, 0, 0, 0, 20, 0, 0, 52, 0, 0, 0, 0, 0, 45, 61, 0, 0, 31, 0, 3, 0, 0, 0, 60, 0, 0, 0, \
    42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 48, 47, 0, 0, 44, \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 21, 0, 0, 0, 0, 0, 0, 35, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 14, \
    50, 73, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0, 38, 0, 15, 8, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 0, 29, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 67, 63, 0, 58, 0, 0, 0, \
    0, 0, 0, 0, 0, 72, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 59, 0, 0, 0, 9, 0, 0, 0, 0, 0, 54, 0, 0, \
    16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 69, 0, 0, 5, 49, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 68, 0, 0, 0, 0, 0, 78, 19, 0, 0, 0, 0, 0, 0, 0, 0, 0, 75, 0, 0, 0, 70, 0, 0, 0, 34, 0, \
    32, 0, 0, 0, 27, 0, 0, 0, 0, 51, 0, 30, 0, 0, 0, 0, 41, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 53, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 64, 4, 0, 0, 0, 43, 74, 0, 0, 0, 65, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 79, 0, 0, 0, 0, 0, 0, 0, 0, 23, 0, 56, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 22, 0, 17, 0, 0, 80, \
    0, 0, 28, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 37, 0, 0, 0, 0, 57, 0, 0, 33, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 66, 0, 0, 0, 0, 0, 0, 0, 0, 0, 26, 0, 0, 0, 0, 55, 0, 0, 40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \

#define MF_H2_CODED_FACTOR 0xA55B9B47u
#define MF_H2_CODED_SLOTS \
    0, 49, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 61, 0, 0, 0, 0, 0, 0, 0, 23, 0, \
    52, 0, 0, 0, 37, 0, 0, 31, 0, 0, 0, 0, 67, 0, 0, 0, 0, 45, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 70, 0, 0, 0, 54, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 0, 0, 73, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 47, 0, 0, 76, 0, 0, 0, 0, 0, 0, 16, \
    0, 0, 0, 0, 0, 0, 27, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 39, 14, 0, \
    0, 0, 0, 0, 0, 53, 0, 0, 2, 0, 0, 42, 0, 0, 72, 0, 58, 44, 0, 0, 0, 0, 0, 0, 0, 0, 0, 69, 0, 0, 0, 0, \
    28, 0, 0, 0, 0, 0, 22, 0, 0, 0, 18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 0, 1, 0, 3, 0, 0, 0, 0, 6, 77, 0, 0, 0, 0, 19, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 34, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 30, 0, 0, 0, 0, 78, 0, 57, 0, 38, 0, 0, 21, 35, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 62, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 71, 0, 0, 0, \
    0, 0, 0, 0, 59, 0, 0, 0, 0, 74, 0, 0, 10, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 13, 0, 0, 0, 25, 0, 0, 0, 0, 68, 0, 0, 0, 0, 51, 0, 0, 0, 65, 0, 0, 0, 11, 0, 0, 4, 0, 0, 79, \
    0, 0, 66, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 50, 0, 0, 0, 0, 0, 0, 0, 0, 46, 0, 0, 0, 40, 0, 0, \
    0, 0, 0, 0, 0, 0, 41, 32, 0, 0, 17, 0, 0, 0, 0, 36, 0, 0, 0, 0, 0, 0, 0, 0, 48, 0, 43, 0, 0, 33, 0, 0, \
    0, 80, 0, 0, 0, 29, 26, 9, 0, 15, 0, 0, 0, 0, 0, 0, 0, 0, 56, 0, 0, 0, 0, 0, 0, 0, 0, 0, 63, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 75, 0, 0, 0, 0, 55, \

