// SPDX-License-Identifier: Apache-2.0
// store/statement.h: one SQL statement, its values bound, its errors as Result. Values are never
// part of the SQL text. Threads: one.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace xfilter::store {

inline Error database_error(sqlite3* database, std::string_view doing) {
  const int code = sqlite3_errcode(database);
  const char* const advice =
      code == SQLITE_FULL ? "; make room on its disk and try again"
      : code == SQLITE_CORRUPT || code == SQLITE_NOTADB
          ? "; move the file away to start afresh, or restore it from a backup"
          : "";
  return {Errc::host_refused,
          fmt::format("the store {}: {}: {}{}", sqlite3_db_filename(database, nullptr), doing,
                      sqlite3_errmsg(database), advice)};
}

class Statement {
 public:
  static Result<Statement> prepare(sqlite3* database, std::string_view sql) {
    sqlite3_stmt* made = nullptr;
    if (sqlite3_prepare_v2(database, sql.data(), static_cast<int>(sql.size()), &made, nullptr) !=
        SQLITE_OK)
      return fail(database_error(database, sql));
    return Statement(made);
  }

  // Binds the values to ?1, ?2, ...; texts have to live until the next call.
  template <class... Values>
  Statement& with(const Values&... values) {
    sqlite3_reset(statement_.get());
    int at = 0;
    (bind(++at, values), ...);
    return *this;
  }

  // True when there is a row.
  Result<bool> step() {
    const int code = sqlite3_step(statement_.get());
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return fail(database_error(sqlite3_db_handle(statement_.get()), sqlite3_sql(statement_.get())));
  }
  Result<void> run() {
    XF_CHECK(step());
    return {};
  }

  std::int64_t integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  std::string text(int column) const {
    const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
    return bytes == nullptr ? std::string() : std::string(bytes, size);
  }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  explicit Statement(sqlite3_stmt* made) : statement_(made) {}
  void bind(int at, std::int64_t value) { sqlite3_bind_int64(statement_.get(), at, value); }
  void bind(int at, const std::string& value) {
    sqlite3_bind_text(statement_.get(), at, value.data(), static_cast<int>(value.size()),
                      SQLITE_STATIC);
  }

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// Everything between begin() and commit() happens, or nothing of it.
class Transaction {
 public:
  static Result<Transaction> begin(sqlite3* database) {
    XF_TRY(statement, Statement::prepare(database, "BEGIN IMMEDIATE"));
    XF_CHECK(statement.run());
    return Transaction(database);
  }
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction() {
    if (database_ != nullptr) sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
  Result<void> commit() {
    XF_TRY(statement, Statement::prepare(database_, "COMMIT"));
    XF_CHECK(statement.run());
    database_ = nullptr;
    return {};
  }

 private:
  explicit Transaction(sqlite3* database) : database_(database) {}
  sqlite3* database_;
};

}  // namespace xfilter::store
